"""A small study from end to end: leak-free, resumable, and with everything that the report shows."""

import json
import time
from multiprocessing import active_children
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ehrsynth.errors import MissingPackage, ModelError, OutputError, Refused, RequestError
from ehrsynth.imaging.folds import split_folds
from ehrsynth.imaging.image_set import minority_classes
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.models.vae import ImageVAE
from ehrsynth.imaging.networks.weights import lite0
from ehrsynth.imaging.reading import Rules
from ehrsynth.imaging.study import looks
from ehrsynth.imaging.study import splits as splitting
from ehrsynth.imaging.study.arms import ARMS, CLASS_WEIGHTS, FLIPS, NONE, SAMPLER, SMOTE, VAE
from ehrsynth.imaging.study.attention import agreement
from ehrsynth.imaging.study.job import check_out, study
from ehrsynth.imaging.study.material import Material, teach
from ehrsynth.imaging.study.plan import Mix, StudyPlan, check_classifier, quick_plan, whole_plan
from ehrsynth.imaging.study.splits import Data, Pace, run_splits, study_splits
from ehrsynth.imaging.study.tuning import choose
from ehrsynth.imaging.study.whole import ARMS as WHOLE_ARMS
from ehrsynth.imaging.transforms import NOTHING
from ehrsynth.progress import silent
from ehrsynth.report.image_study import render_study, study_json, write_study
from pictures import image_set, shapes

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MODEL = ImageVAE(shared_steps=6, own_steps=3, latent=4, batch=8, views=2)
TINY = {"folds": 2, "seeds": 1, "model": MODEL, "ratio": 0.5, "copies": 1, "mixes": (Mix(), Mix(even=False))}


def _nothing(*given, progress):
    return {}


@pytest.fixture(scope="module", autouse=True)
def _seeing():
    try:
        lite0()
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    pixels, labels = shapes((26, 14, 14), channels=1)
    file = tmp_path_factory.mktemp("images") / "a.npz"
    np.savez(file, images=pixels[..., 0], labels=labels, patient=np.arange(len(labels)) // 2)
    return file


@pytest.fixture(scope="module")
def made(place, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "s"
    found = study(place, out, rules=Rules(), plan=StudyPlan(**TINY))
    write_study(found, out)
    return found, out


def test_all_arms_are_measured_untuned_and_tuned(made):
    found, _ = made
    for split in found.splits:
        for key in ("untuned", "tuned"):
            assert set(split["arms"][key]) == {arm.name for arm in ARMS}
            for own in split["arms"][key].values():
                assert all(np.isfinite(v) for v in own.values())
        assert split["settings"]["chosen"]
        assert split["minority"] == ["1", "2"]
    assert set(found.splits[0]["sweeps"]["latent"]) == {"16", "32", "64"}
    assert found.left == 0


def test_the_report_holds_together_and_its_json_begins_with_the_verdict(made):
    found, out = made
    text = (out / "report.json").read_text()
    told = json.loads(text)
    assert told["verdict"] in {"recommended", "not recommended"}
    assert next(iter(study_json(found))) == "verdict"
    page = render_study(found)
    for words in ("Against class weights", "Sweeps", "Memorisation gate", "named before", "Confusion with"):
        assert words in page
    assert {p.name for p in out.iterdir()} >= {"report.html", "turing.html", "turing_key.json"}
    assert (out / "report.html").stat().st_mode & 0o777 == 0o600
    assert (out / "splits").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in (out / "splits").glob("split-*.json"))


def test_a_study_that_is_done_is_not_done_again(made, place, monkeypatch):
    found, out = made

    def never(*given, progress):
        raise AssertionError

    monkeypatch.setattr(splitting, "run_split", never)
    again = study(place, out, rules=Rules(), plan=StudyPlan(**TINY))
    assert again.verdict == found.verdict


def test_splits_of_another_study_are_not_mixed_in(made, place):
    _, out = made
    with pytest.raises(OutputError, match="other images or settings"):
        study(place, out, rules=Rules(), plan=StudyPlan(**TINY | {"ratio": 1.0}))


def test_an_interrupted_study_goes_on_where_it_stopped(tmp_path, monkeypatch):
    data, plan = Data(image_set((12, 8), each=2)), StudyPlan(**TINY)
    ran = []

    def quick(data, fold, plan, place, *, progress, parts):
        if len(ran) == 1:
            ran.append(None)
            raise KeyboardInterrupt
        ran.append(place)
        return {"place": place}

    monkeypatch.setattr(splitting, "run_split", quick)
    with pytest.raises(KeyboardInterrupt):
        run_splits(data, plan, tmp_path, pace=Pace())
    assert run_splits(data, plan, tmp_path, pace=Pace()) == [{"place": 0}, {"place": 1}]
    assert ran == [0, None, 1]


def test_who_ends_a_study_of_two_processes_waits_for_no_split(tmp_path, monkeypatch):
    monkeypatch.setattr(splitting, "_one", time.sleep)  # a split takes as many seconds as its place says
    data, plan, began = Data(image_set((12, 8), each=2)), StudyPlan(**TINY), time.monotonic()
    folds = study_splits(data, plan)
    task = splitting.Task(data, folds, plan, ())
    work = splitting._side_by_side(task, [0, 300], pace=Pace(2), report=silent)
    assert next(work) == (0, None)
    with pytest.raises(KeyboardInterrupt):
        work.throw(KeyboardInterrupt)
    assert time.monotonic() - began < 300
    assert not active_children()


def _half(place):
    splitting._SHARED["shares"][place] = 0.5
    time.sleep(3)
    splitting._SHARED["shares"][place] = 1.0
    return {"place": place}


def test_splits_side_by_side_say_how_far_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(splitting, "_one", _half)
    told = []
    data, plan = Data(image_set((12, 8), each=2)), StudyPlan(**TINY)
    run_splits(data, plan, tmp_path, pace=Pace(2), progress=lambda *said: told.append(said))
    assert any(0 < fraction < 1 for fraction, said in told if said == "splits under way: 1, 2 (of 2)")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert told[-1] == (1.0, "split 2 of 2 done")


def test_time_that_is_over_begins_no_split(tmp_path, monkeypatch):
    monkeypatch.setattr(splitting, "run_split", _nothing)
    assert run_splits(Data(image_set((12, 8))), StudyPlan(**TINY), tmp_path, pace=Pace.of(1, -1.0)) == []


def test_a_synthetic_image_with_a_parent_in_a_test_fold_is_refused(tmp_path):
    images = image_set((12, 8))
    fold = split_folds(images, folds=2, seed=0)[0]
    leaking = MODEL.fit(fold.train, seed=0).sample({0: 4, 1: 4}, Sampling(), seed=0)
    with pytest.raises(RequestError, match="parent on the side that judges"):
        study_splits(Data(images, None, leaking), StudyPlan(**TINY))
    with pytest.raises(RequestError, match="parent on the side that judges"):
        run_splits(Data(images, None, leaking), StudyPlan(**TINY), tmp_path, pace=Pace())


def test_given_images_are_refused_where_a_classifier_is_taught_whole(place, tmp_path):
    others = image_set((8, 6), seed=7)
    model = MODEL.fit(split_folds(others, folds=2, seed=0)[0].train, seed=0)
    foreign = model.sample({0: 2, 1: 2}, Sampling(), seed=0)
    plan = whole_plan(StudyPlan(**TINY), None, steps=1, size=32)
    with pytest.raises(RequestError, match="add --quick"):
        study_splits(Data(image_set((8, 6)), None, foreign), plan)
    words = {"rules": Rules(), "plan": StudyPlan(**TINY), "given": (foreign, ("0", "1"))}
    with pytest.raises(RequestError, match="add --quick"):
        study(place, tmp_path / "s", whole=whole_plan, **words)
    assert not (tmp_path / "s").exists()
    with pytest.raises(RequestError, match="other patients' images"):
        study(place, tmp_path / "s", **words)


def test_synthetic_images_of_others_are_judged_as_an_arm(tmp_path):
    images, others = image_set((14, 10)), image_set((14, 10), seed=7)
    fold = split_folds(others, folds=2, seed=0)[0]
    foreign = MODEL.fit(fold.train, seed=0).sample({0: 6, 1: 6}, Sampling(), seed=0)
    plan = StudyPlan(**TINY | {"sweeps": False, "tuned": False})
    data = Data(images, None, foreign)
    (found, *_) = run_splits(data, plan, tmp_path, pace=Pace())
    assert "synthetic images given" in found["arms"]["untuned"]


def test_choices_are_made_inside_the_training_side(monkeypatch):
    fold = split_folds(image_set((16, 12)), folds=2, seed=0)[0]
    looked_at = set()
    from ehrsynth.imaging.study import tuning

    def spied(pixels, side):
        looked_at.update(p.tobytes() for p in pixels)
        return original(pixels, side)

    original = tuning.seen
    monkeypatch.setattr(tuning, "seen", spied)
    settings = choose(fold.train, StudyPlan(**TINY), seed=1, minority=(1,))
    assert settings.chosen
    assert len(settings.scores) == 4 + 2
    assert not looked_at & {p.tobytes() for p in fold.test.images.pixels}


def test_too_small_a_side_chooses_nothing():
    fold = split_folds(image_set((16, 4)), folds=2, seed=0)[0]
    assert not choose(fold.train, StudyPlan(**TINY), seed=1, minority=(1,)).chosen


@pytest.fixture(scope="module")
def material():
    fold = split_folds(image_set((20, 8)), folds=2, seed=0)[0].train
    return Material.of(fold, side=64, seed=0, copies=2, how=NOTHING)


def totals(taught):
    return np.bincount(taught.labels, taught.weights)


def test_arms_differ_in_what_they_say(material):
    n, counts = len(material.fold.images), material.fold.images.counts

    def one(arm):
        return teach(arm, material, None, Mix(), per_class=1)

    assert totals(one(NONE)).tolist() == counts.tolist()
    assert np.ptp(totals(one(CLASS_WEIGHTS))) == pytest.approx(0)
    assert len(one(SAMPLER).labels) == n
    assert len(one(FLIPS).labels) == 3 * n
    assert totals(one(SMOTE)).tolist() == [counts.max()] * 2


def test_smote_points_lie_between_images_of_their_class(material):
    taught = teach(SMOTE, material, None, Mix(), per_class=1)
    own = material.real[material.fold.images.labels == 1]
    for point in taught.features[len(material.real) :]:
        inside = min(
            np.linalg.norm(a - point) + np.linalg.norm(point - b) - np.linalg.norm(a - b)
            for a in own
            for b in own
        )
        assert abs(inside) < 1e-3


def test_synthetic_images_are_even_or_fill_up(material):
    model = MODEL.fit(material.fold, seed=0)
    made = material.synthetic(model, Sampling(), 12)
    even = teach(VAE, material, made, Mix(share=0.5), per_class=6)
    n, counts = len(material.fold.images), material.fold.images.counts
    assert len(even.labels) == n + 12
    assert even.weights[n:].sum() == pytest.approx(0.5 * n)
    filled = teach(VAE, material, made, Mix(even=False), per_class=6)
    assert totals(filled).tolist() == [counts.max()] * 2


def test_a_classifier_taught_whole_has_the_same_numbers(tmp_path):
    pytest.importorskip("torchvision")
    plan = whole_plan(StudyPlan(**TINY), None, steps=1, size=28).model_copy(update={"batch": 2})
    assert plan.classifier == "resnet18_small"
    data = Data(image_set((6, 4), 28))
    (found, other) = run_splits(data, plan, tmp_path, pace=Pace())
    assert set(found["arms"]["untuned"]) == {arm.name for arm in WHOLE_ARMS}
    assert set(found["corrupted"]["none"]) == {"blur", "noise", "colour shift"}
    assert (found["seed"], other["seed"]) == (0, 1)
    assert all(-1 <= v <= 1 for v in found["attention"].values() if v is not None)


def test_two_processes_give_what_one_gives(tmp_path):
    data = Data(image_set((6, 4)))
    plan = StudyPlan(
        **TINY | {"sweeps": False, "tuned": False, "model": MODEL.model_copy(update={"views": 1})}
    )
    torch.set_num_threads(1)
    found = run_splits(data, plan, tmp_path, pace=Pace(2))
    alone = splitting.run_split(data, study_splits(data, plan)[1], plan, 1, progress=silent)
    assert len(found) == 2
    assert found[1]["arms"] == alone["arms"]


def test_requests_that_cannot_be_met_are_said_before_the_work(tmp_path):
    images = image_set((8, 8))
    with pytest.raises(RequestError, match="unknown class 'clas 1'"):
        study_splits(Data(images), StudyPlan(**TINY | {"cut": {"clas 1": 3}}))
    with pytest.raises(RequestError, match="one split gives no interval"):
        study_splits(Data(images), StudyPlan(**TINY | {"first_fold_only": True}))
    with pytest.raises(RequestError, match="unknown classifier"):
        check_classifier("resnet5", None)
    (tmp_path / "w.pth").write_bytes(b"nothing")
    with pytest.raises(ModelError):
        check_classifier(None, tmp_path / "w.pth")
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(OutputError, match="something else"):
        check_out(tmp_path)


def test_text_in_the_pixels_stops_a_study_and_is_shown(tmp_path):
    from pictures import captioned, tissue

    pixels = [captioned(p, "DOE 1961") for p in tissue(12, 96, colour=False)]
    np.savez(tmp_path / "a.npz", images=np.stack(pixels), labels=np.arange(12) % 2, patient=np.arange(12))
    with pytest.raises(Refused, match="burned into the pixels"):
        study(tmp_path / "a.npz", tmp_path / "s", rules=Rules(), plan=StudyPlan(**TINY))
    assert (tmp_path / "s" / "captions.png").is_file()


def test_plans_say_what_they_do():
    plan = quick_plan(folds=3, seeds=3, seed=1, any_side_up=True)
    assert plan.model.degrees == 180
    assert whole_plan(plan, None, size=200).classifier == "resnet50"
    assert whole_plan(plan, None, size=200, side=64).classifier == "resnet18_small"
    assert plan.hash() != quick_plan(folds=3, seeds=3, seed=1).hash()
    with pytest.raises(ValueError, match="go up"):
        StudyPlan(low=0.9, high=0.1)


def test_coverage_is_of_as_many_copies_as_synthetic_images(monkeypatch):
    """More images cover more, whatever they are."""
    given = []
    monkeypatch.setattr(looks, "covered", lambda _held, points: given.append(len(points)) or 0.5)
    labels = np.repeat([0, 1], [40, 6])
    images = SimpleNamespace(labels=labels)
    made = SimpleNamespace(features=np.zeros((80, 3)), images=SimpleNamespace(labels=np.repeat([0, 1], 40)))
    material = SimpleNamespace(
        synthetic=lambda *_: made, real=np.zeros((46, 3)), changed=np.zeros((3 * 46, 3))
    )
    fold = SimpleNamespace(train=SimpleNamespace(images=images), test=SimpleNamespace(images=images))
    plan = SimpleNamespace(sampling=lambda mix: mix)
    split = SimpleNamespace(
        fold=fold,
        plan=plan,
        material=material,
        test=np.zeros((46, 3)),
        settings=SimpleNamespace(mix=None),
        per_class=40,
        model=None,
        minority=(1,),
    )
    looks._covered(split)
    assert given == [6, 6 + 18, 6 + 18]


def test_agreement_of_maps():
    maps = np.random.default_rng(0).random((5, 9))
    assert agreement(maps, maps) == pytest.approx(1)
    assert agreement(maps, -maps) == pytest.approx(-1)
    assert np.isnan(agreement(np.ones((2, 9)), np.ones((2, 9))))


def test_minorities_of_a_cut_set():
    assert minority_classes(np.array([24, 12, 12])) == (1, 2)
