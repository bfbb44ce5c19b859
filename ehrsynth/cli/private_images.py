"""What `images fit --epsilon` needs beside a fit without: what is public, the register, and no seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ehrsynth.errors import RequestError

if TYPE_CHECKING:
    from ehrsynth.imaging.models.vae import ImageVAE
    from ehrsynth.imaging.patient_images import PublicImages
    from ehrsynth.imaging.reading import Rules


@dataclass(frozen=True, slots=True)
class PrivateRequest:
    """What was said on the command line that only a private fit asks for."""

    rows: int | None
    classes: Sequence[str]
    channels: int | None
    register: Path | None
    policy: Path | None
    data_set: str | None


def refuse_public(request: PrivateRequest) -> None:
    """Raise if something was said that means nothing without an epsilon: it may have been forgotten.

    Raises
    ------
    RequestError
        Names the options.
    """
    said = {
        "--public-rows": request.rows,
        "--public-class": request.classes,
        "--public-channels": request.channels,
        "--register": request.register,
        "--policy": request.policy,
        "--data-set": request.data_set,
    }
    given = [name for name, value in said.items() if value]
    if given:
        raise RequestError(f"{', '.join(given)}: only --epsilon asks for it. Say --epsilon, or leave it out")


def public_images(request: PrivateRequest, size: int | None) -> "PublicImages":
    """What is declared public.

    Raises
    ------
    RequestError
        Lists at once all that is missing.
    """
    from ehrsynth.imaging.patient_images import PublicImages

    if request.rows is None or size is None or not request.classes or request.channels is None:
        missing = {
            "--public-rows (how many patients there are)": request.rows,
            "--size (pixels a side)": size,
            "--public-class (each class, once)": request.classes,
            "--public-channels (1 for grey, 3 for colour)": request.channels,
        }
        lacking = [name for name, value in missing.items() if not value]
        raise RequestError(
            "differential privacy needs these numbers and names known without the data, because what is read "
            f"off the images says something of the patients: give {', '.join(lacking)}"
        )
    return PublicImages(request.rows, size, tuple(request.classes), request.channels)


def fit_privately(
    data: Path,
    out: Path,
    recipe: "ImageVAE",
    rules: "Rules",
    request: PrivateRequest,
    *,
    seed: int | None,
) -> dict[str, object]:
    """Learn, enter the register, save; what is told of it, which holds no count of anybody.

    Raises
    ------
    RequestError
        If what must be public is not declared, a seed is given, or delta is too large.
    BudgetExceeded
        If epsilon over all that was learnt from these images would pass the policy's cap; nothing is saved.
    """
    from ehrsynth.cli.drawing import drawn
    from ehrsynth.generators.private import paying
    from ehrsynth.imaging.fitting import fit_kept_privately
    from ehrsynth.imaging.models.storage import save_image_model
    from ehrsynth.imaging.reading import read_patients
    from ehrsynth.imaging.reading.private import check_rules
    from ehrsynth.progress import part
    from ehrsynth.release.image_books import ImageBooks
    from ehrsynth.release.policy import load_policy
    from ehrsynth.release.register import place_of

    public = public_images(request, rules.size)
    check_rules(rules)
    name = request.data_set or data.absolute().stem
    books = ImageBooks(place_of(out, request.register), name, public.patients, load_policy(request.policy))
    if recipe.epsilon is None:
        message = "no epsilon was given"
        raise RequestError(message)
    books.check(recipe.epsilon, recipe.delta, seed)
    if begun := books.begun():
        typer.echo(begun, err=True)
    with drawn() as progress, paying(partial(books.breaks_off, out)):
        kept = fit_kept_privately(
            lambda: read_patients(data, rules, public, part(progress, 0.0, 0.1)),
            recipe,
            public,
            progress=part(progress, 0.1, 1.0),
        )
    spent = kept.model.guarantee
    if spent is None:
        message = "a private fit came without its guarantee"
        raise RequestError(message)
    composed = books.enter(out, spent)
    save_image_model(kept.model, out, facts=kept.facts)
    return {
        "model": str(out),
        "generator": recipe.kind,
        "seed": None,
        "guarantee": spent.sentence,
        "epsilon_of_the_data_set": composed,
        "data_set": name,
        "copies": kept.facts["copies"],
    }
