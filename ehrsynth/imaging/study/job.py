"""The study as a whole: images in, all splits, the verdict; resumable, for it may take an hour."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ehrsynth.errors import NotEnoughData, OutputError, RequestError
from ehrsynth.files import whole_file
from ehrsynth.imaging.image_set import ImageSet
from ehrsynth.imaging.reading.door import Entry, Looked, Rules, admit, look, open_source, refuse_text
from ehrsynth.imaging.reading.frames import Source
from ehrsynth.imaging.study.arms import CONTROL
from ehrsynth.imaging.study.plan import StudyPlan
from ehrsynth.imaging.study.showing import marks_picture
from ehrsynth.imaging.study.splits import Data, Pace, check_given, run_splits, study_splits
from ehrsynth.imaging.study.verdict import AREA, RECALL, Contrast, Verdict, contrast, decide, in_one_family
from ehrsynth.imaging.synthetic import SyntheticImages
from ehrsynth.progress import Progress, part, silent

SPLITS, WHOLE, MARKS = "splits", "splits-whole", "captions.png"
_FEWEST = 2
Splits = Sequence[Mapping[str, Any]]
Whole = Callable[..., StudyPlan]  # from the size of the images
Given = tuple[SyntheticImages, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What came of a study.

    Parameters
    ----------
    counts
        Images of each class.
    splits
        Each split's results, the first with what is looked at once.
    whole, whole_plan
        The same with a classifier that is taught whole; None where none was.
    left
        Splits that time did not allow: the same command goes on with them.
    undecided
        Those of them that the verdict waits for: it rests on the splits with frozen features alone.
    """

    entry: Entry
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    size: int
    colour: bool
    plan: StudyPlan
    splits: Splits
    verdict: Verdict
    whole_plan: StudyPlan | None
    whole: Splits
    whole_contrasts: tuple[Contrast, ...]
    left: int
    undecided: int = 0


def study(  # noqa: PLR0913 - one argument for each thing that a person decides
    place: Path | str,
    out: Path,
    *,
    rules: Rules,
    plan: StudyPlan,
    whole: Whole | None = None,
    given: Given | None = None,
    pace: Pace | None = None,
    progress: Progress | None = None,
) -> Study:
    """Make a study, or go on with one that was interrupted.

    Parameters
    ----------
    out
        The folder of the study: splits are kept in it as they are done.
    whole
        Gives the settings of the classifier that is taught whole for a `size` of images; None leaves it out.
    given
        Synthetic images from a model of other patients, with the names of their classes: judged as an arm of
        their own on frozen features. Every image judges in some split, so images of a model of these data
        are refused.
    pace
        See `run_splits`; its time is for both parts together.

    Raises
    ------
    RequestError, DataError, Refused
        See `read_images` and `study_splits`; where text is found, a picture of it is left in `out`.
    NotEnoughData
        If time ended before two splits were done.
    """
    report, pace = progress or silent, pace or Pace()
    if given is not None:
        check_given(whole=whole is not None)
    source = open_source(Path(place), rules)
    looked = look(source, rules, part(report, 0.0, 0.03))
    _show_marks(looked, out, rules, source)
    admitted = admit(source, looked, rules, part(report, 0.03, 0.05))
    data = Data(admitted.images, admitted.external, _given(given, admitted.images))
    end = 0.4 if whole else 1.0
    splits = run_splits(data, plan, out / SPLITS, pace=pace, progress=part(report, 0.05, end))
    undecided = left = len(study_splits(data, plan)) - len(splits)
    if len(splits) < _FEWEST:
        raise NotEnoughData(
            f"time ended after {len(splits)} of {len(splits) + left} splits, and an interval needs "
            f"{_FEWEST}: the same command goes on where it stopped"
        )
    taught: Splits = []
    whole_plan = None if whole is None else whole(size=admitted.images.size)
    if whole_plan is not None:
        taught = run_splits(data, whole_plan, out / WHOLE, pace=pace, progress=part(report, end, 1.0))
        left += len(study_splits(data, whole_plan)) - len(taught)
    return Study(
        admitted.entry,
        admitted.images.classes,
        tuple(int(n) for n in admitted.images.counts),
        admitted.images.size,
        admitted.images.channels > 1,
        plan,
        splits,
        decide(splits),
        whole_plan,
        taught,
        taught_contrasts(taught),
        left,
        undecided,
    )


def _given(given: Given | None, images: ImageSet) -> SyntheticImages | None:
    if given is None:
        return None
    made, classes = given
    if classes != images.classes or made.pixels.shape[1:] != images.pixels.shape[1:]:
        raise RequestError(
            "the synthetic images have other classes, another size or other colours than the data: "
            "fit their model on other patients' images of the same classes and colours, with the same --size"
        )
    return made


def taught_contrasts(splits: Splits) -> tuple[Contrast, ...]:
    """Every arm of a classifier that is taught whole against class weights, in one family."""
    if len(splits) < _FEWEST:
        return ()
    arms = [arm for arm in splits[0]["arms"]["untuned"] if arm != CONTROL.name]
    # None of them was named before, the class-wise VAE neither: the verdict rests on frozen features.
    return in_one_family(
        [contrast(splits, "untuned", arm, score) for arm in arms for score in (RECALL, AREA)]
    )


def _show_marks(looked: Looked, out: Path, rules: Rules, source: Source) -> None:
    if looked.marks.zones:
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(out / MARKS) as draft:
            Image.fromarray(marks_picture(looked.marks, looked.examples)).save(draft, format="PNG")
        (out / MARKS).chmod(0o600)
    refuse_text(looked, rules, source)


def check_out(out: Path) -> None:
    """Raise if a folder holds something else than a study that can be gone on with.

    Raises
    ------
    OutputError
        If it is a file, or a folder with other things in it.
    """
    if not out.exists():
        return
    known = {SPLITS, WHOLE, MARKS, "report.html", "report.json", "turing.html", "turing_key.json"}
    if not out.is_dir() or {p.name for p in out.iterdir()} - known:
        raise OutputError(f"{out} holds something else than a study: name another place")


def mean_scores(splits: Splits, key: str, which: str = "arms") -> dict[str, dict[str, float]]:
    """Arm to its scores, each the mean over splits."""
    found = [s[which][key] for s in splits if s[which].get(key)]
    if not found:
        return {}
    return {
        arm: {score: float(np.mean([f[arm][score] for f in found])) for score in found[0][arm]}
        for arm in found[0]
    }
