"""`ehrsynth images`: a study of synthetic images, models of images, images, and raters' answers."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ehrsynth.cli.guard import guarded
from ehrsynth.cli.options import Json, PolicyFile, Seed, Settings

if TYPE_CHECKING:
    from ehrsynth.imaging.models.sampling import Sampling
    from ehrsynth.imaging.reading import Rules

app = typer.Typer(
    help="Synthetic images for small, unbalanced sets: study, fit, sample.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ImageData = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with a folder for each class, or an .npz of images and labels.",
        exists=True,
    ),
]
OutStudy = Annotated[
    Path, typer.Option("--out", "-o", help="The study's folder; one that was interrupted goes on.")
]
Size = Annotated[
    int | None,
    typer.Option("--size", min=28, max=256, help="Pixels a side. [default: as stored, 128 at most]"),
]
Text = Annotated[
    str,
    typer.Option(
        "--text", help="Where text is burned in: refuse, mask (in all images), or accept (you looked)."
    ),
]
OneImage = Annotated[
    bool, typer.Option("--one-image-per-patient", help="Declare that no patient has two images.")
]
Patients = Annotated[
    Path | None,
    typer.Option("--patients", help="CSV with the columns file and patient.", exists=True, dir_okay=False),
]
Pattern = Annotated[
    str | None,
    typer.Option("--patient-pattern", help="Regular expression whose group is the patient in a file's name."),
]
Slices = Annotated[int, typer.Option("--slices", min=1, help="Slices taken from the middle of each volume.")]
Cut = Annotated[
    list[str] | None,
    typer.Option("--cut", metavar="CLASS=N", help="Most training images of a class; repeatable."),
]
ImageModel = Annotated[
    str, typer.Option("--generator", "-g", help="class_wise_vae, conditional_vae or latent_diffusion.")
]
Epsilon = Annotated[float | None, typer.Option("--epsilon", help="Privacy budget: differential privacy.")]
Delta = Annotated[float | None, typer.Option("--delta", help="Of the privacy budget.")]


@app.command("study")
@guarded
def study(
    data: ImageData,
    out: OutStudy,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Frozen features alone: minutes.")] = False,
    size: Size = None,
    text: Text = "refuse",
    one_image_per_patient: OneImage = False,
    patients: Patients = None,
    patient_pattern: Pattern = None,
    slices: Slices = 1,
    cut: Cut = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20)] = 3,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=20, help="Repetitions of the folds.")] = 3,
    any_side_up: Annotated[
        bool, typer.Option("--any-side-up", help="Nothing is up in these images: turn them every way.")
    ] = False,
    classifier: Annotated[
        str | None,
        typer.Option("--classifier", help="Taught whole: resnet18_small, resnet50 or efficientnet_v2_s."),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option("--synthetic", help="Also judge images of `images sample`.", exists=True),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A file of weights that it starts from.", exists=True)
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the classifier taught whole.")] = 300,
    classifier_size: Annotated[
        int | None, typer.Option("--classifier-size", min=28, max=256, help="Pixels a side that it sees.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0, help="Begin no split after so long; call again to go on."),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Splits worked on at a time.")] = 2,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    json: Json = False,
) -> None:
    """Say whether synthetic images help a classifier more than class weights do: a verdict."""
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.cli.image_results import show_study
    from ehrsynth.imaging.release import read_synthetic
    from ehrsynth.imaging.study.job import check_out
    from ehrsynth.imaging.study.job import study as make
    from ehrsynth.imaging.study.plan import check_classifier, quick_plan, whole_plan
    from ehrsynth.imaging.study.splits import Pace
    from ehrsynth.report.image_study import write_study

    check_out(out)
    rules = _rules(size, text, one_image_per_patient, patients, patient_pattern, slices)
    plan = quick_plan(folds=folds, seeds=seeds, seed=seed, cut=_cuts(cut), any_side_up=any_side_up)
    check_classifier(classifier, weights)
    whole = None
    if not quick:
        whole = partial(whole_plan, plan, classifier, weights=weights, steps=steps, side=classifier_size)
    pace = Pace.of(processes, None if minutes is None else 60 * minutes)
    given = None if synthetic is None else read_synthetic(synthetic)
    with drawn() as progress:
        found = make(
            data, out, rules=rules, plan=plan, whole=whole, given=given, pace=pace, progress=progress
        )
    write_study(found, out)
    show_study(out / "report.json", as_json=json)


@app.command("fit")
@guarded
def fit(
    data: ImageData,
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to make.")],
    *,
    generator: ImageModel = "class_wise_vae",
    size: Size = None,
    text: Text = "refuse",
    one_image_per_patient: OneImage = False,
    patients: Patients = None,
    patient_pattern: Pattern = None,
    slices: Slices = 1,
    settings: Settings = None,
    epsilon: Epsilon = None,
    delta: Delta = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Learn images and save the model as a folder, which is as confidential as they are."""
    from ehrsynth.cli.drawing import drawn, show_facts
    from ehrsynth.cli.places import must_be_free
    from ehrsynth.generators.recipes import parse_settings
    from ehrsynth.imaging.fitting import fit_kept, image_recipe
    from ehrsynth.imaging.models.storage import save_image_model
    from ehrsynth.imaging.reading import read_images
    from ehrsynth.progress import part
    from ehrsynth.randomness import fresh_seed

    must_be_free(out)
    recipe = image_recipe(generator, parse_settings(settings or []), epsilon=epsilon, delta=delta)
    seed = fresh_seed() if seed is None else seed
    rules = _rules(size, text, one_image_per_patient, patients, patient_pattern, slices)
    with drawn() as progress:
        admitted = read_images(data, rules, part(progress, 0.0, 0.1))
        kept = fit_kept(admitted.images, recipe, seed=seed, progress=part(progress, 0.1, 1.0))
    save_image_model(kept.model, out, facts=kept.facts)
    shown = {"model": str(out), "generator": generator, "images": kept.facts["images"], "seed": seed}
    show_facts(shown | {"copies": kept.facts["copies"]}, as_json=json)


@app.command("sample")
@guarded
def sample(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="What `images fit` made.", exists=True, file_okay=False),
    ],
    images: Annotated[int, typer.Option("--images", "-n", min=1, help="How many of each class.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="An .npz file, or a folder of PNG to make.")],
    *,
    classes: Annotated[list[str] | None, typer.Option("--class", help="Only this class; repeatable.")] = None,
    way: Annotated[str, typer.Option("--way", help="interpolation, spherical, posterior or prior.")] = "",
    low: Annotated[float, typer.Option("--low", min=0, max=1, help="Least weight between parents.")] = 0.25,
    high: Annotated[float, typer.Option("--high", min=0, max=1, help="Largest weight.")] = 0.75,
    share: Annotated[bool, typer.Option("--share", help="The images are to leave the hospital.")] = False,
    override: Annotated[
        str, typer.Option("--override", help="Why they may leave without a guarantee, and who decided.")
    ] = "",
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
    allowed = load_policy(policy).images_without_guarantee.value > 0
    sharing = Sharing(shared=share, override=override.strip(), allowed_without_guarantee=allowed)
    check_sharing(sharing, fitted.guarantee, str(facts.get("copies", "")))
    wanted = _wanted(fitted.classes, classes, images)
    seed = fresh_seed() if seed is None else seed
    how = _way(way, low, high)
    with drawn() as progress:
        made = draw(fitted, wanted, how=how, seed=seed, progress=progress)
    kept = {"generator": fitted.recipe.kind, "copies": facts.get("copies")}
    if not share:
        kept |= {"seed": seed}
    write_images(made, fitted.classes, out, sharing=sharing, facts=kept)
    shown = {
        "images": len(made),
        "out": str(out),
        "shared": share,
        "copies": facts.get("copies"),
        "seed": seed,
    }
    show_facts(shown, as_json=json)


@app.command("answers")
@guarded
def answers(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="turing_key.json of the study.", exists=True)],
    files: Annotated[list[Path], typer.Argument(metavar="ANSWERS", help="What raters saved.", exists=True)],
    *,
    margin: Annotated[float, typer.Option("--margin", min=0.01, max=0.49, help="Around one half.")] = 0.1,
    json: Json = False,
) -> None:
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


def _way(way: str, low: float, high: float) -> "Sampling | None":
    from ehrsynth.errors import RequestError, unknown
    from ehrsynth.imaging.models.sampling import Sampling

    ways = ("interpolation", "spherical", "posterior", "prior")
    if way and way not in ways:
        raise RequestError(unknown("way", way, list(ways)))
    if not way and (low, high) == (0.25, 0.75):
        return None
    return Sampling(way=way or "interpolation", low=low, high=high)  # type: ignore[arg-type]
