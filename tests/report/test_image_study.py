"""The page of an image study: the verdict first, nothing loaded, nothing cut off."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from ehrsynth.cli import app
from ehrsynth.cli.image_results import show_study
from ehrsynth.imaging.reading.door import Entry
from ehrsynth.imaging.study import job
from ehrsynth.imaging.study.arms import ARMS
from ehrsynth.imaging.study.job import Study
from ehrsynth.imaging.study.plan import StudyPlan
from ehrsynth.imaging.study.scores import score_all
from ehrsynth.imaging.study.showing import ROWS, grid, png
from ehrsynth.imaging.study.verdict import decide
from ehrsynth.report.image_charts import confusion_matrix, point_map, sweep_line
from ehrsynth.report.image_study import render_study, study_json

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """
<script>
window.addEventListener("load", () => {
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("main *")].filter(e => !e.closest("svg, .table, .skip")
    && e.getBoundingClientRect().right > root.clientWidth + 1);
  const pre = document.createElement("pre");
  const loaded = performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:"));
  pre.id = "found";
  pre.textContent = JSON.stringify({wide: wide.map(e => e.tagName + "." + e.className),
    scroll: root.scrollWidth, client: root.clientWidth, loaded: loaded.length,
    blank: [...document.images].filter(i => !i.naturalWidth).length,
    drawn: [...document.querySelectorAll("svg[role=img]")].every(s => s.getBoundingClientRect().width > 0)});
  document.body.append(pre);
});
</script>
"""
NAMES = tuple(score_all(np.array([0, 1]), np.eye(2), (0,)))


def split(seed, *, gain):
    rng = np.random.default_rng(seed)

    def arms():
        found = {}
        for arm in ARMS:
            own = rng.uniform(0.7, 0.8, len(NAMES))
            gained = gain * (arm.name == "class-wise VAE") + 0.004 * rng.normal()
            known = {"matched minority recall": 0.8 + gained, "minority AUROC": 0.9}
            found[arm.name] = dict(zip(NAMES, own, strict=True)) | known
        return found

    return {
        "arms": {"tuned": arms(), "untuned": arms()},
        "external": {"tuned": arms(), "untuned": arms()},
        "corrupted": {a.name: {"blur": 0.6, "noise": 0.5, "colour shift": 0.7} for a in ARMS},
        "attention": {a.name: 0.9 for a in ARMS},
        "confusion": {a.name: [[8, 2], [3, 20]] for a in ARMS},
        "settings": {"mix": "as many for every class", "chosen": True, "penalty": 0.1, "scores": []},
        "pool": 60,
        "n_test": 30,
        "minority": ["normal <1>"],
        "curve": {"curve": [[20, 0.9], [15, 0.88], [10, 0.85]], "treated": 0.91, "synthetic": 60},
        "kept": {
            "real": {"images": 30, "share": [0.9, 0.8, 0.95]},
            "real, same classes": {"images": 10, "share": [0.85, 0.7, 0.95]},
            "0.5": {"images": 60, "share": [0.8, 0.7, 0.9]},
        },
        "covered": {"before": 0.5, "after": 0.6, "changed copies instead": 0.55},
    }


def made(gain=0.05):
    splits = [split(k, gain=gain) for k in range(6)]
    pixels = np.zeros((8, 32, 32, 1), np.uint8)
    splits[0] |= {
        "sweeps": {
            name: {
                k: {"minority AUROC": 0.9, "matched minority recall": 0.8, "recall gain": 0.01}
                for k in "abcd"
            }
            for name in ("weight", "ratio", "latent", "way")
        },
        "pictures": {"normal <1>": png(grid([pixels] * len(ROWS)))},
        "closest": png(grid([pixels, pixels])),
        "latent": {"points": [[0.0, 1.0], [2.0, 3.0]], "labels": [0, 1], "explained": 0.5},
        "quality": {
            "normal <1>, detail 1": {
                "images": 20,
                "kid": [0.1, 0.0, 0.2],
                "kid_floor": 0.01,
                "shares": {k: [0.5, 0.4, 0.6] for k in ("precision", "recall", "density", "coverage")},
                "floor": dict.fromkeys(("precision", "recall", "density", "coverage"), 0.7),
                "fid": None,
                "fid_floor": None,
                "reason": "FID needs 6,400 images a side; 20 are here",
            }
        },
        "privacy": {
            "memorisation": {
                "copied": [0.3, 0.2, 0.4],
                "false_alarms": [0.0, 0.0, 0.01],
                "planted": {"exact": 1.0},
                "by_kind": {"prior": [0.0, 0.0, 0.1]},
                "passed": False,
                "reason": "",
            },
            "membership": {
                "members": 40,
                "non_members": 20,
                "auroc": [0.6, 0.5, 0.7],
                "detectable": 0.7,
                "passed": None,
                "reason": "20 images on a side",
            },
        },
        "turing": {"page": "", "key": {}},
    }
    entry = Entry(60, ((32, 32), (40, 40)), {"EXIF": 3}, ("2 files of other kinds",), 60, 58, 4, 2, True)
    return Study(
        entry,
        ("normal <1>", "sick"),
        (20, 40),
        32,
        False,
        StudyPlan(),
        splits,
        decide(splits),
        None,
        (),
        (),
        0,
    )


def test_the_verdict_comes_first_and_follows_the_numbers():
    for gain, words in ((0.05, "are recommended"), (0.0, "are not recommended")):
        page = render_study(made(gain))
        assert words in re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)[1]
        assert (
            page.index("<h1>") < page.index("All arms") < page.index("Privacy") < page.index("What came in")
        )
        assert study_json(made(gain))["verdict"] == words.removeprefix("are ")


def test_kept_classes_are_held_against_real_images_of_the_same_classes():
    page = render_study(made())
    assert "real, held out (all classes)" in page
    assert "real, held out (minority)" in page
    assert "weight 0.5" in page


def test_each_arm_has_the_auroc_of_each_class_by_its_name():
    study = made()
    for k, place in enumerate(study.splits):
        for arm in place["arms"]["tuned"].values():
            arm |= {"AUROC of class 0": 0.5 + 0.01 * k, "AUROC of class 1": 0.9}
    page = render_study(study)
    own, outside = re.findall(r'<table class="compact areas">(.*?)</table>', page, re.DOTALL)
    assert re.findall(r'class="n">([^<]*)</th>', own) == ["normal &lt;1&gt;", "sick"]
    rows = re.findall(r'<th scope="row">(.*?)</th><td class="n">(.*?)</td><td class="n">(.*?)</td>', own)
    assert rows == [(arm.name, "0.525", "0.900") for arm in ARMS]
    assert "set aside for testing" in outside
    areas = study_json(study)["class_aurocs"]["tuned"]
    assert areas["class-wise VAE"] == pytest.approx({"normal <1>": 0.525, "sick": 0.9})


def test_the_terminal_shows_the_auroc_of_each_class(tmp_path, capsys):
    (tmp_path / "report.json").write_text(json.dumps(study_json(made())))
    show_study(tmp_path / "report.json", as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "AUROC by class, tuned normal <1> sick" in shown


def test_names_are_escaped_and_small_sets_never_pass_membership():
    page = render_study(made())
    assert "normal <1>" not in page
    assert "normal &lt;1&gt;" in page
    assert "no pass: 20 images on a side" in page
    assert "Internal: shows images of real patients" in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
@pytest.mark.parametrize("width", [400, 1280])
def test_it_opens_in_a_browser_loads_nothing_and_nothing_is_cut_off(tmp_path, width):
    # The probe is a script, which the page's own policy would not let run.
    html = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", render_study(made()))
    (tmp_path / "page.html").write_text(html.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr")
    done = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'p'}", f"--window-size={width},900", "--dump-dom",
         "--virtual-time-budget=9000", (tmp_path / "page.html").as_uri()],
        capture_output=True, timeout=120, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert not [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout.decode(), re.DOTALL)[1])
    assert found["wide"] == []
    assert found["scroll"] <= found["client"]
    assert found["loaded"] == 0
    assert found["blank"] == 0
    assert found["drawn"] is True


def test_drawings_say_their_numbers():
    assert "disc called ring: 25.0%" in confusion_matrix("c", ["disc", "ring"], [[3, 1], [0, 4]])
    line = sweep_line("recall", ["0.5", "1"], [0.7, 0.8], 0.75)
    assert line.count("<circle") == 2
    assert "0.700" in line
    assert point_map("map", [[0, 0], [1, 1], [2, 2], [3, 3]], [0, 1, 2, 3]).count("class=") == 5


def test_there_is_no_verdict_before_the_splits_that_it_rests_on_are_done(tmp_path, capsys):
    """A look after each split, and a stop at the first that pleases, would find gains that are none."""
    study = replace(made(0.05), left=3, undecided=3)
    assert study.verdict.recommended
    found, page = study_json(study), render_study(study)
    assert found["verdict"] == "unfinished"
    assert "6 of the 9 splits" in found["sentence"]
    assert "There is no verdict yet." in page
    assert "images are recommended" not in page
    (tmp_path / "report.json").write_text(json.dumps(found))
    show_study(tmp_path / "report.json", as_json=False)
    assert capsys.readouterr().out.startswith("Unfinished")


@pytest.mark.parametrize(("gain", "left", "code"), [(0.0, 0, 3), (0.05, 0, 0), (0.0, 2, 0)])
def test_a_study_that_does_not_recommend_ends_as_a_no_once_it_is_done(
    gain, left, code, tmp_path, monkeypatch
):
    monkeypatch.setattr(job, "study", lambda *_, **__: replace(made(gain), left=left))
    found = CliRunner().invoke(app, ["images", "study", str(tmp_path), "--out", str(tmp_path), "--quick"])
    assert found.exit_code == code, found.output
    assert (tmp_path / "report.json").is_file()
