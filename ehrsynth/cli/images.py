"""`ehrsynth images`: a study of synthetic images, models of images, images, and raters' answers."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ehrsynth.cli.guard import guarded
from ehrsynth.cli.image_options import (
    AnswerFiles,
    AnySideUp,
    Classes,
    Classifier,
    ClassifierSize,
    Cut,
    DataSet,
    Delta,
    Detail,
    Epsilon,
    Folds,
    High,
    ImageData,
    ImageModel,
    Images,
    Key,
    Low,
    Margin,
    Minutes,
    Model,
    ModelSettings,
    OneImage,
    OutImages,
    OutModel,
    OutStudy,
    Override,
    Patients,
    Pattern,
    Processes,
    PublicChannels,
    PublicClasses,
    PublicPatients,
    Quick,
    Seeds,
    Share,
    Size,
    Slices,
    SourceData,
    Steps,
    StudySeed,
    Synthetic,
    Text,
    Way,
    Weights,
)
from ehrsynth.cli.options import Json, PolicyFile, Register, Seed

if TYPE_CHECKING:
    from ehrsynth.imaging.models.sampling import Sampling
    from ehrsynth.imaging.models.storage import Fitted
    from ehrsynth.imaging.reading import Rules

app = typer.Typer(
    help="Synthetic images for small, unbalanced sets: study, fit, sample.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("study")
@guarded
def study(
    data: ImageData,
    out: OutStudy,
    *,
    quick: Quick = False,
    size: Size = None,
    text: Text = "refuse",
    one_image_per_patient: OneImage = False,
    patients: Patients = None,
    patient_pattern: Pattern = None,
    slices: Slices = 1,
    cut: Cut = None,
    folds: Folds = 3,
    seeds: Seeds = 3,
    any_side_up: AnySideUp = False,
    generator: ImageModel = "class_wise_vae",
    classifier: Classifier = None,
    synthetic: Synthetic = None,
    weights: Weights = None,
    steps: Steps = None,
    classifier_size: ClassifierSize = None,
    minutes: Minutes = None,
    processes: Processes = 2,
    seed: StudySeed = 0,
    json: Json = False,
) -> None:
    """Say whether synthetic images help a classifier more than class weights do: a verdict.

    "Not recommended" ends with exit code 3 and its reasons.
    """
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.image_results import show_study
    from ehrsynth.errors import Refused
    from ehrsynth.imaging.release import read_synthetic
    from ehrsynth.imaging.study.job import check_out
    from ehrsynth.imaging.study.job import study as make
    from ehrsynth.imaging.study.plan import STEPS, check_classifier, quick_plan, whole_plan
    from ehrsynth.imaging.study.splits import Pace
    from ehrsynth.report.image_study import write_study

    check_out(out)
    if quick:
        _refuse_whole(classifier=classifier, weights=weights, steps=steps, classifier_size=classifier_size)
    rules = _rules(size, text, one_image_per_patient, patients, patient_pattern, slices)
    splits = {"folds": folds, "seeds": seeds, "seed": seed}
    plan = quick_plan(**splits, cut=_cuts(cut), any_side_up=any_side_up, generator=generator)
    check_classifier(classifier, weights)
    whole = None
    if not quick:
        whole = partial(
            whole_plan, plan, classifier, weights=weights, steps=steps or STEPS, side=classifier_size
        )
    pace = Pace.of(processes, None if minutes is None else 60 * minutes)
    given = None if synthetic is None else read_synthetic(synthetic)
    with drawn() as progress:
        found = make(
            data, out, rules=rules, plan=plan, whole=whole, given=given, pace=pace, progress=progress
        )
    write_study(found, out)
    show_study(out / "report.json", as_json=json)
    if not found.verdict.recommended and not found.left:
        raise Refused(found.verdict.sentence, found.verdict.reasons)


@app.command("fit")
@guarded
def fit(
    data: ImageData,
    out: OutModel,
    *,
    generator: ImageModel = "class_wise_vae",
    size: Size = None,
    text: Text = "refuse",
    one_image_per_patient: OneImage = False,
    patients: Patients = None,
    patient_pattern: Pattern = None,
    slices: Slices = 1,
    settings: ModelSettings = None,
    epsilon: Epsilon = None,
    delta: Delta = None,
    public_rows: PublicPatients = None,
    public_class: PublicClasses = None,
    public_channels: PublicChannels = None,
    register: Register = None,
    policy: PolicyFile = None,
    data_set: DataSet = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Learn images and save the model as a folder, which is as confidential as they are.

    With --epsilon they are learnt under differential privacy, for each patient with all of their images, and
    entered in the register. Everything that the model says beside its weights is declared public then:
    --public-rows, --size, --public-class, --public-channels. There is no seed.
    """
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.private_images import PrivateRequest, fit_privately, refuse_public
    from ehrsynth.files import must_be_free
    from ehrsynth.generators.recipes import parse_settings
    from ehrsynth.imaging.fitting import fit_kept, image_recipe
    from ehrsynth.imaging.models.storage import save_image_model
    from ehrsynth.imaging.models.vae import ImageVAE
    from ehrsynth.imaging.reading import read_images
    from ehrsynth.progress import part
    from ehrsynth.randomness import fresh_seed

    must_be_free(out)
    recipe = image_recipe(generator, parse_settings(settings or []), epsilon=epsilon, delta=delta)
    rules = _rules(size, text, one_image_per_patient, patients, patient_pattern, slices)
    request = PrivateRequest(public_rows, public_class or (), public_channels, register, policy, data_set)
    if isinstance(recipe, ImageVAE) and recipe.epsilon is not None:
        show_facts(fit_privately(data, out, recipe, rules, request, seed=seed), as_json=json)
        return
    refuse_public(request)
    seed = fresh_seed() if seed is None else seed
    with drawn() as progress:
        admitted = read_images(data, rules, part(progress, 0.0, 0.1))
        kept = fit_kept(admitted.images, recipe, seed=seed, progress=part(progress, 0.1, 1.0))
    save_image_model(kept.model, out, facts=kept.facts)
    shown = {"model": str(out), "generator": generator, "images": kept.facts["images"]}
    shown |= {"held_out": kept.facts["held_out"], "seed": seed}
    remarks = "; ".join(admitted.entry.remarks) or None
    show_facts(shown | {"copies": kept.facts["copies"], "remarks": remarks}, as_json=json)


@app.command("sample")
@guarded
def sample(
    model: Model,
    images: Images,
    out: OutImages,
    *,
    classes: Classes = None,
    way: Way = "",
    low: Low = 0.25,
    high: High = 0.75,
    data: SourceData = None,
    detail: Detail = 0.0,
    text: Text = "refuse",
    slices: Slices = 1,
    share: Share = False,
    override: Override = "",
    policy: PolicyFile = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Draw images of each class, marked as synthetic; unless shared, they carry their parents."""
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.imaging.fitting import draw
    from ehrsynth.imaging.models.storage import load_image_model
    from ehrsynth.imaging.release import Sharing, check_sharing, write_images
    from ehrsynth.randomness import fresh_seed
    from ehrsynth.release.policy import load_policy

    fitted, facts = load_image_model(model)
    rule = load_policy(policy)
    sharing = Sharing(
        shared=share,
        override=override.strip(),
        allowed_without_guarantee=rule.images_without_guarantee.value > 0,
        epsilon_cap=rule.epsilon_cap.value,
    )
    check_sharing(sharing, fitted.guarantee, str(facts.get("copies", "")))
    wanted = _wanted(fitted.classes, classes, images)
    seed = fresh_seed() if seed is None else seed
    how = _way(way, low, high, detail)
    if data is not None:
        fitted = _with_views(fitted, data, text, slices, seed=seed)
    with drawn() as progress:
        made = draw(fitted, wanted, how=how, seed=seed, progress=progress)
    kept = {"generator": fitted.recipe.kind, "copies": facts.get("copies")}
    if fitted.guarantee is not None:
        kept |= {"guarantee": fitted.guarantee.sentence, "privacy": fitted.guarantee.as_json()}
    if not share:
        kept |= {"seed": seed}
    write_images(made, fitted.classes, out, sharing=sharing, facts=kept)
    shown = {
        "images": len(made),
        "out": str(out),
        "shared": share,
        "guarantee": "none" if fitted.guarantee is None else fitted.guarantee.sentence,
        "copies": facts.get("copies"),
        "seed": seed,
    }
    show_facts(shown, as_json=json)


@app.command("answers")
@guarded
def answers(key: Key, files: AnswerFiles, *, margin: Margin = 0.1, json: Json = False) -> None:
    """Count raters' answers: how often they were right, and whether that is as good as a coin."""
    from ehrsynth.cli.image_results import show_judgement
    from ehrsynth.imaging.turing import judge, read_answers
    from ehrsynth.imaging.turing.answers import read_key

    told = read_key(key)
    show_judgement(judge([read_answers(f, told) for f in files], told, margin=margin), as_json=json)


def _rules(
    size: int | None,
    text: str,
    one_image_per_patient: bool,
    patients: Path | None,
    pattern: str | None,
    slices: int,
) -> "Rules":
    from ehrsynth.errors import RequestError, unknown
    from ehrsynth.imaging.reading import Rules

    if text not in {"refuse", "mask", "accept"}:
        raise RequestError(unknown("way with text", text, ["refuse", "mask", "accept"]))
    return Rules(
        size=size,
        text=text,  # type: ignore[arg-type]
        one_image_per_patient=one_image_per_patient,
        patients=patients,
        pattern=pattern,
        slices=slices,
    )


def _refuse_whole(**said: object) -> None:
    from ehrsynth.errors import RequestError

    given = [f"--{name.replace('_', '-')}" for name, value in said.items() if value is not None]
    if given:
        raise RequestError(
            f"{', '.join(given)}: --quick teaches no classifier whole, and would leave it out. Leave --quick "
            "out, or the rest"
        )


def _cuts(given: list[str] | None) -> dict[str, int]:
    from ehrsynth.errors import RequestError

    cuts = {}
    for one in given or []:
        name, _, count = one.rpartition("=")
        if not name or not count.isdigit() or int(count) < 1:
            raise RequestError(f"--cut {one!r}: say CLASS=N, for instance normal=60")
        cuts[name] = int(count)
    return cuts


def _wanted(known: tuple[str, ...], chosen: list[str] | None, images: int) -> dict[int, int]:
    from ehrsynth.errors import RequestError, unknown

    for name in chosen or []:
        if name not in known:
            raise RequestError(unknown("class", name, list(known)))
    return {label: images for label, name in enumerate(known) if not chosen or name in chosen}


def _with_views(fitted: "Fitted", data: Path, text: str, slices: int, *, seed: int) -> "Fitted":
    from ehrsynth.errors import RequestError
    from ehrsynth.imaging.models.vae import FittedVAE, with_views
    from ehrsynth.imaging.reading import read_images

    if not isinstance(fitted, FittedVAE):
        raise RequestError(f"{fitted.recipe.kind} has no detail to put back: leave --data out")
    rules = replace(_rules(fitted.size, text, False, None, None, slices), unsplit=True)
    return with_views(fitted, read_images(data, rules).images, seed=seed)


def _way(way: str, low: float, high: float, detail: float) -> "Sampling | None":
    from ehrsynth.errors import RequestError, unknown
    from ehrsynth.imaging.models.sampling import HIGH, LOW, Sampling

    ways = ("interpolation", "spherical", "posterior", "prior")
    if way and way not in ways:
        raise RequestError(unknown("way", way, list(ways)))
    if not way and not detail and (low, high) == (LOW, HIGH):
        return None
    return Sampling(way=way or "interpolation", low=low, high=high, detail=detail)  # type: ignore[arg-type]
