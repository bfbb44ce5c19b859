"""The page of an image study: the verdict first, then what it rests on; one file that loads nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ehrsynth.files import plain, whole_file, write_json
from ehrsynth.imaging.measures.keeping import SAME
from ehrsynth.imaging.study.arms import CONTROL, PRIMARY
from ehrsynth.imaging.study.error_rates import measured_error_rates
from ehrsynth.imaging.study.job import Study, mean_scores
from ehrsynth.imaging.study.showing import ROWS
from ehrsynth.imaging.study.verdict import AREA, RECALL, Contrast
from ehrsynth.report.charts import gauge, interval_pair
from ehrsynth.report.image_charts import confusion_matrix, key_mark, point_map, sweep_line
from ehrsynth.report.numbers import EMPTY
from ehrsynth.report.rendering import STYLE, rendered
from ehrsynth.versions import installed_versions

REPORT, JSON, TURING, KEY = "report.html", "report.json", "turing.html", "turing_key.json"
_PACKAGES = ("ehrsynth", "numpy", "scikit-learn", "torch", "torchvision")
_SCORES = (
    "minority recall",
    RECALL,
    "balanced accuracy",
    "precision",
    "F1",
    "AUROC",
    AREA,
    "Brier",
    "calibration error",
)
_SPAN = (-0.15, 0.15)
_ABLATION = (
    ("neither", "none"),
    ("traditional augmentation", "flips and rotations"),
    ("synthetic images", PRIMARY.name),
    ("both", "class-wise VAE, flips and rotations"),
)


def study_json(study: Study) -> dict[str, Any]:
    """A study as JSON values for a machine; "verdict" is the first key. Internal."""
    verdict, said = study.verdict, _said(study)
    hidden = {"pictures", "turing", "closest", "latent"}
    return dict(
        plain(
            {
                "verdict": said.word,
                "sentence": said.sentence,
                "reasons": verdict.reasons,
                "error_rates": measured_error_rates(),
                "primary": asdict(verdict.primary),
                "area": asdict(verdict.area),
                "untuned": None if verdict.untuned is None else asdict(verdict.untuned),
                "looks": [asdict(one) for one in verdict.looks],
                "worth": asdict(verdict.worth),
                "whole": [asdict(one) for one in study.whole_contrasts],
                "scores": {key: mean_scores(study.splits, key) for key in study.splits[0]["arms"]},
                "class_aurocs": {
                    key: _by_class(mean_scores(study.splits, key), study.classes)
                    for key in study.splits[0]["arms"]
                },
                "external": {
                    key: mean_scores(study.splits, key, "external") for key in study.splits[0]["arms"]
                },
                "whole_scores": mean_scores(study.whole, "untuned") if study.whole else None,
                "splits_left": study.left,
                "classes": dict(zip(study.classes, study.counts, strict=True)),
                "entry": asdict(study.entry),
                "plan": study.plan.model_dump(mode="json"),
                "whole_plan": None if study.whole_plan is None else study.whole_plan.model_dump(mode="json"),
                "versions": installed_versions(_PACKAGES),
                "splits": [{k: v for k, v in s.items() if k not in hidden} for s in study.splits],
            }
        )
    )


class _Said(NamedTuple):
    """The verdict in a word, as a headline and as a sentence."""

    word: str
    headline: str
    sentence: str


def _said(study: Study) -> _Said:
    """The verdict in words; none before all splits that it rests on are done.

    Whoever looks at an interval after each split and stops where it pleases finds a gain too often.
    """
    verdict, done = study.verdict, len(study.splits)
    if study.undecided:
        of = done + study.undecided
        sentence = (
            f"Unfinished: {done} of the {of} splits that the verdict rests on are done. What stands here is "
            "for looking, and decides nothing: the same command goes on."
        )
        return _Said("unfinished", "There is no verdict yet.", sentence)
    word = "recommended" if verdict.recommended else "not recommended"
    return _Said(word, f"Synthetic images are {word}.", verdict.sentence)


def write_study(study: Study, out: Path) -> None:
    """Write the report, its JSON, the raters' page and its key; readable by their owner alone."""
    write_json(out / JSON, study_json(study))
    turing = study.splits[0].get("turing")
    texts = {REPORT: render_study(study)} | ({TURING: turing["page"]} if turing else {})
    for name, text in texts.items():
        with whole_file(out / name) as draft:
            draft.write_text(text, encoding="utf-8")
    if turing:
        write_json(out / KEY, turing["key"])
    for name in (JSON, KEY, *texts):
        if (out / name).exists():
            (out / name).chmod(0o600)


def render_study(study: Study) -> str:
    """The report as one self-contained HTML page; internal, for it shows real patients' images."""
    return rendered("image_study.html.j2", _page(study), styles=(STYLE, "image_study.css"))


def _page(study: Study) -> dict[str, Any]:
    verdict, first = study.verdict, study.splits[0]
    said = _said(study)
    key = "tuned" if "tuned" in first["arms"] else "untuned"
    return {
        "verdict": "released" if said.word == "recommended" else "blocked",
        "headline": said.headline,
        "sentence": said.sentence,
        "reasons": verdict.reasons,
        "error_rates": measured_error_rates(),
        "lead": _lead(study),
        "tiles": list(_tiles(study)),
        "contrasts": list(_contrasts(study)),
        "scores": _table(mean_scores(study.splits, key)),
        "untuned": _table(mean_scores(study.splits, "untuned")) if key == "tuned" else None,
        "external": _table(mean_scores(study.splits, key, "external"))
        if first["external"].get(key)
        else None,
        "classes": study.classes,
        "areas": list(_areas(study, key)),
        "score_names": _SCORES,
        "ablation": _ablation(mean_scores(study.splits, key)),
        "whole": _whole(study),
        "sweeps": list(_sweeps(study)),
        "kept": _kept(study),
        "covered": _means([s["covered"] for s in study.splits if "covered" in s]),
        "pictures": first.get("pictures", {}),
        "rows": ROWS,
        "closest": first.get("closest"),
        "latent": _latent(study),
        "confusions": list(_confusions(study)),
        "corrupted": _corrupted(study),
        "attention": _means([s["attention"] for s in study.splits]),
        "quality": first.get("quality", {}),
        "privacy": first.get("privacy"),
        "entry": study.entry,
        "facts": list(_facts(study)),
        "settings": [s["settings"] for s in study.splits],
        "left": study.left,
        "has_turing": first.get("turing") is not None,
        "day": datetime.now(UTC).date().isoformat(),
        "version": installed_versions(_PACKAGES).get("ehrsynth", ""),
    }


def _lead(study: Study) -> str:
    sizes = ", ".join(f"{n:,} {name}" for name, n in zip(study.classes, study.counts, strict=True))
    few = " and ".join(study.splits[0]["minority"])
    group = "image" if study.entry.one_image_per_patient else "patient or source"
    return (
        f"{sum(study.counts):,} images ({sizes}). The minority is {few}. {len(study.splits)} splits by "
        f"{group}; everything that learns or is chosen sees training sides alone."
    )


def _tiles(study: Study) -> Iterator[dict[str, Any]]:
    for title, c, text in (
        ("Minority recall", study.verdict.primary, "change at the specificity of class weights"),
        ("Minority AUROC", study.verdict.area, "change against class weights"),
    ):
        d = c.difference
        drawn = gauge(title, d.value, d.low, d.high, span=_SPAN, mark=0.0)
        low, high = f"{100 * d.low:+.1f}", f"{100 * d.high:+.1f}"
        yield {
            "title": title,
            "number": f"{100 * d.value:+.1f}",
            "text": f"points, {text} ({low} to {high})",
            "gauge": drawn,
            "over": d.low <= 0,
        }
    w = study.verdict.worth.images
    yield {
        "title": "100 synthetic images",
        "number": EMPTY if w is None else f"{w.value:.0f}",
        "text": study.verdict.worth.reason
        if w is None
        else f"real ones they were worth ({w.low:.0f} to {w.high:.0f})",
        "gauge": "",
        "over": False,
    }
    gate = (study.splits[0].get("privacy") or {}).get("memorisation", {})
    copied = gate.get("copied")
    yield {
        "title": "Near copies",
        "number": EMPTY if copied is None else f"{100 * copied[0]:.0f} %",
        "text": "of the study's synthetic images are nearly a training image: they stay inside",
        "gauge": "",
        "over": gate.get("passed") is not True,
    }


def _contrasts(study: Study) -> Iterator[dict[str, Any]]:
    v = study.verdict
    for c in (v.primary, v.area, *v.looks):
        yield _contrast(c, primary=c in {v.primary, v.area})


def _contrast(c: Contrast, *, primary: bool) -> dict[str, Any]:
    d = c.difference
    return {
        "arm": c.arm,
        "score": c.score,
        "treated": c.treated,
        "control": c.control,
        "difference": f"{100 * d.value:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f})",
        "p": f"{c.p:.3f}" if primary else f"{c.adjusted:.3f}",
        "primary": primary,
        "drawn": interval_pair(f"{c.arm}: {c.score}", None, (d.low, d.value, d.high), _SPAN),
    }


def _table(scores: Mapping[str, Mapping[str, float]]) -> list[tuple[str, list[float]]]:
    return [(arm, [own[name] for name in _SCORES]) for arm, own in scores.items()]


def _by_class(
    scores: Mapping[str, Mapping[str, float]], classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Arm to the AUROC of each class, by its name, against all others."""
    return {
        arm: {name: own[f"AUROC of class {k}"] for k, name in enumerate(classes)}
        for arm, own in scores.items()
    }


def _areas(study: Study, key: str) -> Iterator[tuple[str, list[tuple[str, list[float]]]]]:
    """Captions and rows of the tables of AUROC by class."""
    found = [
        (f"AUROC of each class against all others, {key}", mean_scores(study.splits, key)),
        ("The same on the images set aside for testing", mean_scores(study.splits, key, "external")),
        ("The same of the classifier taught whole", mean_scores(study.whole, "untuned")),
    ]
    for caption, scores in found:
        if scores:
            by_class = _by_class(scores, study.classes)
            yield caption, [(arm, list(own.values())) for arm, own in by_class.items()]


def _ablation(scores: Mapping[str, Mapping[str, float]]) -> list[tuple[str, list[float]]]:
    wanted = ("minority recall", RECALL, "balanced accuracy", "accuracy", "AUROC")
    return [(words, [scores[arm][name] for name in wanted]) for words, arm in _ABLATION if arm in scores]


def _whole(study: Study) -> dict[str, Any] | None:
    if not study.whole or study.whole_plan is None:
        return None
    return {
        "classifier": study.whole_plan.classifier,
        "splits": len(study.whole),
        "scores": _table(mean_scores(study.whole, "untuned")),
        "ablation": _ablation(mean_scores(study.whole, "untuned")),
        "contrasts": [_contrast(c, primary=False) for c in study.whole_contrasts],
    }


def _sweeps(study: Study) -> Iterator[dict[str, Any]]:
    swept = [s["sweeps"] for s in study.splits if "sweeps" in s]
    titles = {
        "weight": "Weight between the parents",
        "ratio": "Synthetic images for each real one",
        "latent": "Numbers in the latent",
        "way": "Line or arc",
    }
    for name, title in titles.items():
        if not swept:
            return
        found = {k: _means([s[name][k] for s in swept]) for k in swept[0][name]}
        level = float(np.mean([v[RECALL] - v["recall gain"] for v in found.values()]))
        values = [found[k][RECALL] for k in found]
        label = f"{title}: minority recall at matched specificity; the level is class weights"
        yield {"title": title, "chart": sweep_line(label, list(found), values, level), "splits": len(swept)}


def _means(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of each name over several mappings, of what is there; None where nothing is."""
    if not found:
        return {}
    known = {name: [f[name] for f in found if f[name] is not None] for name in found[0]}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _kept(study: Study) -> list[dict[str, Any]]:
    found = [s["kept"] for s in study.splits if "kept" in s]
    names = list(found[0]) if found else []
    rows = []
    for name in names:
        shares = [f[name]["share"][0] for f in found if name in f]
        images = sum(f[name]["images"] for f in found if name in f)
        rows.append({"name": _kind(name), "share": float(np.mean(shares)), "images": images})
    return rows


def _kind(name: str) -> str:
    real = {"real": "real, held out (all classes)", SAME: "real, held out (minority)"}
    return real.get(name, f"weight {name}")


def _latent(study: Study) -> dict[str, Any] | None:
    found = study.splits[0].get("latent")
    if not found:
        return None
    label = "Training images on the first two axes of the latent space, by class"
    return {
        "chart": point_map(label, found["points"], found["labels"]),
        "explained": found["explained"],
        "key": [(key_mark(k), name) for k, name in enumerate(study.classes)],
    }


def _confusions(study: Study) -> Iterator[dict[str, Any]]:
    for arm in (CONTROL.name, PRIMARY.name):
        counts = np.sum([s["confusion"][arm] for s in study.splits], axis=0)
        yield {
            "title": arm,
            "chart": confusion_matrix(f"Confusion with {arm}", study.classes, counts.tolist()),
        }


def _corrupted(study: Study) -> list[tuple[str, dict[str, float | None]]]:
    arms = study.splits[0]["corrupted"]
    return [(arm, _means([s["corrupted"][arm] for s in study.splits])) for arm in arms]


def _facts(study: Study) -> Iterator[tuple[str, str]]:
    e, plan = study.entry, study.plan
    yield "Images", f"{e.images:,}, of {e.patients:,} patients or sources in {e.groups:,} groups"
    yield (
        "Sizes that came in",
        f"{e.sizes[0][0]} x {e.sizes[0][1]} to {e.sizes[1][0]} x {e.sizes[1][1]} pixels",
    )
    yield "Worked on at", f"{study.size} x {study.size} pixels, {'colour' if study.colour else 'grey'}"
    yield (
        "Nearly the same",
        f"{e.joined:,} images are nearly the same as one of another patient, and share a fold",
    )
    if e.one_image_per_patient:
        yield "Declared", "no patient has two images (--one-image-per-patient)"
    dropped = ", ".join(f"{kind} in {n:,}" for kind, n in e.dropped.items())
    yield "Left behind at the door", dropped or "nothing: the files held pixels alone"
    if e.masked_places:
        yield "Masked in every image", "; ".join(e.masked_places)
    if e.remarks:
        yield "Remarks", "; ".join(e.remarks)
    if plan.cut:
        yield "Training sides cut to", ", ".join(f"{n:,} {name}" for name, n in plan.cut.items())
    yield "Splits", f"{plan.folds} folds by {plan.seeds} seeds from {plan.seed}"
    model = plan.model.model_dump(mode="json")
    yield "Model", ", ".join(f"{k} {v}" for k, v in model.items())
    yield "Versions", ", ".join(f"{k} {v}" for k, v in installed_versions(_PACKAGES).items())
