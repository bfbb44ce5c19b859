"""All splits of a study: each is worked on once, kept on disk, and picked up again after an interruption."""

import hashlib
import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch

from ehrsynth.engine import Checkpoints
from ehrsynth.errors import OutputError, RequestError, unknown
from ehrsynth.files import write_json
from ehrsynth.imaging.folds import Fold, check_disjoint, split_folds
from ehrsynth.imaging.image_set import ImageSet
from ehrsynth.imaging.study.frozen import prepare, run
from ehrsynth.imaging.study.looks import everything
from ehrsynth.imaging.study.parts import Parts, TimeOver, plain_values
from ehrsynth.imaging.study.plan import StudyPlan
from ehrsynth.imaging.study.whole import ARMS, run_whole
from ehrsynth.imaging.synthetic import SyntheticImages, refuse_leaks
from ehrsynth.progress import Progress, part, silent

PLAN = "plan.json"
_TOLD_EVERY = 0.5  # seconds
_OTHERS = (
    "every image of the data judges in some split, so synthetic images are judged only if their model was "
    "fitted on other patients; a study makes and judges its own from each training side without --synthetic"
)


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What a study is made on: images that are split, those set aside before, synthetic ones given."""

    images: ImageSet
    external: ImageSet | None = None
    given: SyntheticImages | None = None

    @property
    def fingerprint(self) -> str:
        """Changes when an image, a label or a group does."""
        digest = hashlib.sha256()
        for images in (self.images, self.external):
            if images is not None:
                digest.update("".join(images.ids).encode())
                digest.update(images.labels.tobytes() + images.patients.tobytes())
        if self.given is not None:
            digest.update(self.given.pixels.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Pace:
    """How a study may be worked on.

    Parameters
    ----------
    processes
        How many splits are worked on at a time, with one thread each.
    deadline
        On the clock of `time.monotonic`: no further split is begun after it, nor an arm of one that is taught
        whole.
    """

    processes: int = 1
    deadline: float = math.inf

    @classmethod
    def of(cls, processes: int, seconds: float | None) -> "Pace":
        """From now on, for so many seconds."""
        return cls(processes, math.inf if seconds is None else time.monotonic() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.deadline


def check_given(*, whole: bool) -> None:
    """Raise where synthetic images are given to a classifier that would leave them out.

    Raises
    ------
    RequestError
        If it is one that is taught whole.
    """
    if whole:
        raise RequestError(
            "--synthetic is judged on frozen features alone, and a classifier that is taught whole would "
            "leave it out: add --quick"
        )


def study_splits(data: Data, plan: StudyPlan) -> tuple[Fold, ...]:
    """The splits of a study: folds by seeds, or the first fold of each seed.

    Raises
    ------
    RequestError
        If a cut names an unknown class, there are fewer than two splits, which give no interval, or a
        synthetic image that was given descends from an image that judges, or meets a classifier that is
        taught whole.
    """
    if data.given is not None:
        check_given(whole=plan.classifier != "frozen")
    classes = list(data.images.classes)
    for name in plan.cut:
        if name not in classes:
            raise RequestError(unknown("class", name, classes))
    cut = {classes.index(name): count for name, count in plan.cut.items()}
    found = list[Fold]()
    for seed in range(plan.seed, plan.seed + plan.seeds):
        folds = split_folds(data.images, folds=plan.folds, seed=seed, cut=cut)
        found += folds[:1] if plan.first_fold_only else folds
    for fold in found:
        if data.given is not None:
            refuse_leaks(data.given, fold.test.images, remedy=_OTHERS)
    if len(found) < 2:  # noqa: PLR2004
        raise RequestError("one split gives no interval: use two seeds at least")
    return tuple(found)


def run_split(
    data: Data, fold: Fold, plan: StudyPlan, place: int, *, progress: Progress, parts: Parts | None = None
) -> dict[str, Any]:
    """All that is measured on one split, as plain values; `parts` keep what is done of a long one."""
    check_disjoint(fold.train.images, fold.test.images)
    minority = plan.minority(data.images)
    found: dict[str, Any] = {
        "fold": fold.number,
        "seed": fold.seed,
        "pool": fold.pool,
        "n_train": len(fold.train.images),
        "n_test": len(fold.test.images),
        "counts": fold.train.images.counts.tolist(),
        "minority": [data.images.classes[label] for label in minority],
    }
    if plan.classifier != "frozen":
        return plain_values(
            found | run_whole(fold, plan, data.external, minority=minority, progress=progress, parts=parts)
        )
    split = prepare(fold, plan, minority=minority, progress=part(progress, 0.0, 0.5))
    found |= run(split, data.external, data.given, progress=part(progress, 0.5, 0.75))
    found["settings"] = {
        "penalty": split.settings.penalty,
        "mix": split.settings.mix.words,
        "scores": [list(one) for one in split.settings.scores],
        "chosen": split.settings.chosen,
    }
    sweep = plan.sweeps and fold.seed == plan.seed
    found |= everything(split, first=place == 0, sweep=sweep, progress=part(progress, 0.75, 1.0))
    return plain_values(found)


def run_splits(
    data: Data,
    plan: StudyPlan,
    folder: Path,
    *,
    pace: Pace,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Work on all splits that are not done yet; those that are, are read back.

    Parameters
    ----------
    folder
        Where each split's result is kept.
    pace
        How many splits at a time and until when; the rest can be done by calling again.

    Raises
    ------
    OutputError
        If the folder holds splits of another study.
    """
    folds, report = study_splits(data, plan), _never_back(progress or silent)
    _same_study(folder, {"plan": plan.hash(), "data": data.fingerprint})
    todo = [p for p in range(len(folds)) if not _file(folder, p).is_file()]
    before, whole = len(folds) - len(todo), len(folds)
    report(before / whole, f"{before} of {whole} splits were done before")
    parts = [Parts(Checkpoints(folder, {}), place + 1, pace.deadline) for place in range(len(folds))]
    work = _worked(Task(data, folds, plan, tuple(parts)), todo, pace=pace, report=report)
    for done, (place, result) in enumerate(work, start=before + 1):
        write_json(_file(folder, place), result)
        _file(folder, place).chmod(0o600)
        parts[place].clear(len(ARMS))
        report(done / whole, f"split {done} of {whole} done")
    return [
        json.loads(_file(folder, p).read_bytes()) for p in range(len(folds)) if _file(folder, p).is_file()
    ]


def _never_back(progress: Progress) -> Progress:
    """Splits that are done are fewer than those are worth that are done and under way."""
    highest = 0.0

    def report(fraction: float, message: str) -> None:
        nonlocal highest
        highest = max(highest, fraction)
        progress(highest, message)

    return report


def _file(folder: Path, place: int) -> Path:
    return folder / f"split-{place + 1}.json"


def _same_study(folder: Path, mine: Mapping[str, str]) -> None:
    file = folder / PLAN
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # what is kept of a split shows real images
    if not file.is_file():
        write_json(file, mine)
        return
    if json.loads(file.read_bytes()) != mine:
        raise OutputError(
            f"{folder} holds the splits of a study with other images or settings: name another folder"
        )


Worked = Iterator[tuple[int, dict[str, Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What every split needs: a worker has a copy of its own."""

    data: Data
    folds: tuple[Fold, ...]
    plan: StudyPlan
    parts: tuple[Parts, ...]

    def split(self, place: int, progress: Progress) -> dict[str, Any]:
        """All of one split."""
        fold, parts = self.folds[place], self.parts[place]
        return run_split(self.data, fold, self.plan, place, progress=progress, parts=parts)


def _worked(task: Task, todo: list[int], *, pace: Pace, report: Progress) -> Worked:
    """Each split with its place, as they are done; those that would begin too late are left."""
    if pace.processes > 1:
        yield from _side_by_side(task, todo, pace=pace, report=report)
        return
    whole = len(task.folds)
    before = whole - len(todo)
    for done, place in enumerate(todo, start=before):
        if pace.is_over:
            return
        own = part(report, done / whole, (done + 1) / whole)
        with suppress(TimeOver):
            yield place, task.split(place, own)


def _side_by_side(task: Task, todo: list[int], *, pace: Pace, report: Progress) -> Worked:
    context, others = get_context("spawn"), set(active_children())
    # How far each split is. It has no lock, which a worker that is ended could take along.
    shares = context.RawArray("d", [float(place not in todo) for place in range(len(task.folds))])
    initial = (task, shares)
    with ProcessPoolExecutor(pace.processes, context, initializer=_begin, initargs=initial) as pool:
        try:
            yield from _handed_out(pool, todo, pace, partial(_tell, shares, report))
        except BaseException:
            # Told to end, or a split failed: the pool would wait for splits under way, which take minutes.
            for worker in set(active_children()) - others:
                worker.terminate()
            raise


def _handed_out(
    pool: ProcessPoolExecutor, todo: list[int], pace: Pace, tell: Callable[[Iterable[int]], None]
) -> Worked:
    left, running = list(todo), dict[Future[dict[str, Any]], int]()
    while left or running:
        while left and len(running) < pace.processes and not pace.is_over:
            place = left.pop(0)
            running[pool.submit(_one, place)] = place
        if not running:
            return
        tell(running.values())
        for future in wait(running, timeout=_TOLD_EVERY, return_when=FIRST_COMPLETED).done:
            place = running.pop(future)
            if not isinstance(future.exception(), TimeOver):
                yield place, future.result()


def _tell(shares: Sequence[float], report: Progress, running: Iterable[int]) -> None:
    numbers = ", ".join(str(place + 1) for place in sorted(running))
    report(sum(shares) / len(shares), f"splits under way: {numbers} (of {len(shares)})")


_SHARED: dict[str, Any] = {}  # a worker's own copy of what every split needs


def _begin(task: Task, shares: MutableSequence[float]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: the first one answers
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _SHARED.update(task=task, shares=shares)


def _one(place: int) -> dict[str, Any]:
    def report(fraction: float, message: str) -> None:  # noqa: ARG001 - the number alone is handed over
        _SHARED["shares"][place] = fraction

    task: Task = _SHARED["task"]
    found = task.split(place, report)
    report(1.0, "done")
    return found
