"""A rater goes through the page in a real browser; the answers come out, and nothing is loaded."""

import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest

from ehrsynth.imaging.turing import judge, read_answers, turing_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
)
# Plays a rater: types a code, answers by clicks and by keys, goes back once, finishes.
RATER = """
<script>
window.addEventListener("load", async () => {
  const wait = () => new Promise(done => setTimeout(done, 5));
  const key = k => document.dispatchEvent(new KeyboardEvent("keydown", {key: k, bubbles: true}));
  const found = {begin: element("begin").disabled};
  element("rater").value = "R1";
  element("rater").dispatchEvent(new Event("input"));
  element("begin").click();
  found.next = element("next").disabled;
  for (let k = 0; k < IMAGES.length; k++) {
    if (k % 2) { element("real").click(); element("sure").children[k % 5].click(); }
    else { key("s"); key(String(k % 5 + 1)); }
    await wait();
    if (k === 2) {
      element("back").click(); await wait();
      found.back = element("count").textContent;
      key("Enter"); await wait();
    }
    element("next").click();
    await wait();
  }
  found.answers = element("json").value;
  found.ended = !element("end").hidden;
  found.shown = element("image").naturalWidth;
  found.wide = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
  found.loaded = performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length;
  const pre = document.createElement("pre");
  pre.id = "found"; pre.textContent = JSON.stringify(found); document.body.append(pre);
});
</script>
"""


@pytest.fixture(scope="module")
def page():
    rng = np.random.default_rng(0)
    real, made = (rng.integers(0, 255, (5, 32, 32, 1), dtype=np.uint8) for _ in range(2))
    return turing_page(real, made, title="cells", needed=281, seed=1)


def browse(folder, html, *options):
    (folder / "page.html").write_text(html, encoding="utf-8")
    command = [CHROMIUM, *FLAGS, "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", *options]
    done = subprocess.run(
        [*command, "--dump-dom", "--virtual-time-budget=20000", (folder / "page.html").as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
        cwd=folder,
    )
    complaints = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), complaints


@pytest.mark.parametrize("width", [380, 1200])
def test_a_rater_gets_through_and_the_answers_come_out(tmp_path, page, width):
    html, key = page
    dom, complaints = browse(
        tmp_path, html.replace("</body>", RATER + "</body>"), f"--window-size={width},900"
    )
    assert not complaints
    found = json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert found["begin"] is True
    assert found["next"] is True
    assert found["back"] == "Image 2 of 10"
    assert found["ended"] is True
    assert found["shown"] == 32
    assert found["wide"] is True
    assert found["loaded"] == 0
    (tmp_path / "a.json").write_text(found["answers"])
    answers = read_answers(tmp_path / "a.json", key)
    assert answers.rater == "R1"
    assert answers.real.tolist() == [False, True] * 5
    assert answers.confidence.tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert judge([answers], key).answers == 10


def test_the_page_opens_without_a_complaint(tmp_path, page):
    dom, complaints = browse(tmp_path, page[0])
    assert not complaints
    assert "Real or synthetic?" in dom
