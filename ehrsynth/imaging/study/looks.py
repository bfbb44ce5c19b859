"""What else is asked of one split's synthetic images: sweeps, kept classes, gaps, likeness, copies."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ehrsynth.imaging.heads import fit_head
from ehrsynth.imaging.measures.keeping import class_kept, covered
from ehrsynth.imaging.measures.likeness import likeness
from ehrsynth.imaging.measures.membership import membership
from ehrsynth.imaging.measures.memorisation import FEWEST, memorisation
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.study.arms import CONTROL, PRIMARY
from ehrsynth.imaging.study.frozen import Split, learning_curve, scores
from ehrsynth.imaging.study.material import Material, Synthetic, teach
from ehrsynth.imaging.study.plan import LATENTS, RATIOS, Mix
from ehrsynth.imaging.study.showing import closest_pairs, pictures, turing
from ehrsynth.imaging.synthetic import SyntheticImages
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator

WEIGHTS = {"0.25": (0.25, 0.25), "0.5": (0.5, 0.5), "0.75": (0.75, 0.75), "0.25 to 0.75": (0.25, 0.75)}
_GATED = 300  # most images of a kind that the memorisation gate looks at
_MEMBERSHIP_LIMIT = 0.545  # AUROC, as the policy's limit for membership of patients in tables


def sweeps(split: Split, *, progress: Progress) -> dict[str, Any]:
    """Minority AUROC and matched recall by interpolation weight, number of images, and size of the latent."""
    found: dict[str, Any] = {"weight": {}, "ratio": {}, "latent": {}, "way": {}}
    mix, count = split.settings.mix, split.per_class
    for place, (name, (low, high)) in enumerate(WEIGHTS.items()):
        how = Sampling(way=split.plan.way, low=low, high=high, detail=mix.detail)
        found["weight"][name] = _judged(split, split.material.synthetic(split.model, how, count), count)
        progress(0.3 * place / len(WEIGHTS), "sweep of the interpolation weight")
    for way in ("interpolation", "spherical"):
        how = Sampling(way=way, low=split.plan.low, high=split.plan.high, detail=mix.detail)
        found["way"][way] = _judged(split, split.material.synthetic(split.model, how, count), count)
    images = split.fold.train.images
    for ratio in RATIOS:
        wanted = split.plan.per_class(images, ratio)
        made = split.material.synthetic(split.model, split.plan.sampling(mix), wanted)
        found["ratio"][f"{ratio:g}"] = _judged(split, made, wanted)
        progress(0.5, "sweep of the number of images")
    for latent in LATENTS:
        progress(0.6, f"sweep of the latent size: {latent}")
        if latent == split.plan.model.latent:
            found["latent"][str(latent)] = found["weight"]["0.25 to 0.75"]
            continue
        recipe = split.plan.model.model_copy(update={"latent": latent})
        model = recipe.fit(split.fold.train, seed=split.seed)
        own = Material(split.fold.train, split.side, split.seed, split.material.real, split.material.changed)
        made = own.synthetic(model, split.plan.sampling(mix), count)
        found["latent"][str(latent)] = _judged(split, made, count)
    return found


def _judged(split: Split, made: Synthetic, count: int) -> dict[str, float]:
    mix = split.settings.mix if split.settings.mix.even else Mix()
    penalty, judges = split.settings.penalty, split.fold.test.images
    taught = teach(PRIMARY, split.material, made, mix, per_class=count)
    head = fit_head(taught, classes=split.classes, penalty=penalty)
    heads = {PRIMARY.name: head, CONTROL.name: split.head(CONTROL, penalty=penalty)}
    own = scores(heads, judges.labels, split.test, split.minority)
    treated, control = own[PRIMARY.name], own[CONTROL.name]
    return {
        "minority AUROC": treated["minority AUROC"],
        "matched minority recall": treated["matched minority recall"],
        "recall gain": treated["matched minority recall"] - control["matched minority recall"],
    }


def kept_and_filled(split: Split) -> dict[str, Any]:
    """Whether interpolated images keep their class, by weight; what they cover of the held-out minority."""
    judges, count = split.fold.test.images, split.per_class
    kinds = {}
    for name, (low, high) in WEIGHTS.items():
        how = Sampling(way=split.plan.way, low=low, high=high, detail=split.settings.mix.detail)
        made = split.material.synthetic(split.model, how, count)
        few = np.isin(made.images.labels, split.minority)
        kinds[name] = (made.features[few], made.images.labels[few])
    kept = class_kept(judges, split.test, kinds, penalty=split.settings.penalty, seed=split.seed)
    return {
        "kept": {name: asdict(found) for name, found in kept.items()},
        "covered": _covered(split),
    }


def _covered(split: Split) -> dict[str, float]:
    """Means over minority classes: by training images, with synthetic ones, with as many changed copies.

    So many synthetic images count as there are changed copies of the class.
    """
    labels, judges = split.fold.train.images.labels, split.fold.test.images
    made = split.material.synthetic(split.model, split.plan.sampling(split.settings.mix), split.per_class)
    copied = np.tile(labels, len(split.material.changed) // len(labels))
    found: dict[str, list[float]] = {"before": [], "after": [], "changed copies instead": []}
    for label in split.minority:
        own, held = split.material.real[labels == label], split.test[judges.labels == label]
        added, changed = made.features[made.images.labels == label], split.material.changed[copied == label]
        # As many of each: more images cover more, whatever they are.
        as_many = min(len(added), len(changed))
        added, changed = added[:as_many], changed[:as_many]
        found["before"].append(covered(held, own))
        found["after"].append(covered(held, np.concatenate([own, added])))
        found["changed copies instead"].append(covered(held, np.concatenate([own, changed])))
    return {name: float(np.mean(values)) for name, values in found.items()}


def quality(split: Split) -> dict[str, Any]:
    """Likeness of each minority class's synthetic images, with and without detail, against held-out ones."""
    from ehrsynth.imaging.features import features

    images, judges = split.fold.train.images, split.fold.test.images
    found: dict[str, Any] = {}
    for detail in sorted({0.0, split.settings.mix.detail}):
        how = Sampling(way=split.plan.way, low=split.plan.low, high=split.plan.high, detail=detail)
        made = split.material.synthetic(split.model, how, split.per_class)
        for label in split.minority:
            own = made.images.labels == label
            sides = (images.of_class(label).pixels, judges.of_class(label).pixels, made.images.pixels[own])
            train, held, drawn = (features(p, side=split.side).astype(np.float64) for p in sides)
            scored = likeness(train, held, drawn, seed=split.seed)
            name = f"{images.classes[label]}, detail {detail:g}"
            found[name] = asdict(scored)
    return found


def privacy(split: Split) -> dict[str, Any]:
    """The memorisation gate, by interpolation weight and way, and the membership test."""
    from ehrsynth.imaging.features import features

    train, holdout = split.fold.train.images, split.fold.test.images
    how = split.plan.sampling(split.settings.mix)
    made = split.material.synthetic(split.model, how, split.per_class)
    rng = numpy_generator(split.seed, "gate")
    chosen = np.sort(rng.permutation(len(made.images))[:_GATED])
    shown = made.images.at(chosen)
    also = {}
    for detail in (0.0, 1.0):
        for name, (low, high) in WEIGHTS.items():
            drawn = _few(split, Sampling(way=split.plan.way, low=low, high=high, detail=detail))
            also[f"weight {name}, detail {detail:g}"] = drawn.pixels
        also[f"posterior, detail {detail:g}"] = _few(split, Sampling(way="posterior", detail=detail)).pixels
    also["prior"] = _few(split, Sampling(way="prior")).pixels
    control = holdout.pixels[np.sort(rng.permutation(len(holdout))[:_GATED])]
    if len(control) < FEWEST:
        gate: dict[str, Any] = {
            "passed": None,
            "reason": f"{len(control)} held-out images: {FEWEST} are needed",
        }
    else:
        gate = asdict(
            memorisation(
                train.pixels,
                control,
                shown.pixels,
                side=split.side,
                seed=split.seed,
                copier=lambda pixels: split.model.reconstruct(pixels, split.minority[0]),
                also=also,
            )
        )
    if gate.get("closest"):
        gate["closest"] = [[int(chosen[i]), j, alike] for i, j, alike in gate["closest"]]
    known, unknown, third = (features(s.pixels, side=split.side) for s in (train, holdout, made.images))
    attacked = membership(known, unknown, third, limit=_MEMBERSHIP_LIMIT)
    return {"memorisation": gate, "membership": asdict(attacked)}


def _few(split: Split, how: Sampling) -> SyntheticImages:
    each = max(1, 60 // split.classes)
    return split.model.sample(dict.fromkeys(range(split.classes), each), how, seed=split.seed)


def latent_map(split: Split) -> dict[str, Any]:
    """Training images and interpolations on the first two principal axes of the latent space, by class."""
    means, labels = [], []
    for label, posteriors in enumerate(split.model.posteriors):
        plain = posteriors.mean[: len(split.model.ids[label])].numpy()
        means.append(plain)
        labels.append(np.full(len(plain), label))
    points, own = np.concatenate(means), np.concatenate(labels)
    centred = points - points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    placed = centred @ axes[:2].T
    explained = float((sizes[:2] ** 2).sum() / max(1e-12, float((sizes**2).sum())))
    return {"points": placed.round(3).tolist(), "labels": own.tolist(), "explained": explained}


def everything(split: Split, *, first: bool, sweep: bool, progress: Progress) -> dict[str, Any]:
    """What is looked at besides the arms: the dear parts on the first split or the first seed's alone."""
    found: dict[str, Any] = {"curve": learning_curve(split), **kept_and_filled(split)}
    progress(0.2, "kept classes and gaps")
    if sweep:
        found["sweeps"] = sweeps(split, progress=progress)
    if first:
        progress(0.7, "quality and privacy")
        found |= {"quality": quality(split), "privacy": privacy(split), "latent": latent_map(split)}
        found |= {"pictures": pictures(split), "turing": turing(split)}
        pairs = found["privacy"]["memorisation"].get("closest", ())
        found["closest"] = closest_pairs(split, pairs) if pairs else None
    return found
