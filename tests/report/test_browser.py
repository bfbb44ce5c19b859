"""The page in a real browser: no error, nothing loaded, nothing cut off; on a phone, by night, on paper."""

import json
import re
import shutil
import struct
import subprocess
import zlib
from html import unescape

import pytest

from ehrsynth.report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
# Runs in a page around the report and opens every page of it: what scrolls sideways, what has no size, and
# what failed.
PROBE = """
<iframe id="f" style="border:0;width:{width}px;height:2000px" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
document.getElementById("f").onload = async function () {{
  this.onload = null;
  const page = this.contentDocument, root = page.documentElement, found = {{tabs: []}};
  found.heading = page.querySelector("h1").getBoundingClientRect().top;
  found.first = [...page.querySelectorAll(".panel")].map(p => p.offsetHeight > 0);
  for (const link of page.querySelectorAll("nav a")) {{
    this.contentWindow.location.hash = link.hash;  // a click would leave srcdoc
    await new Promise(done => setTimeout(done, 50));
    const shown = [...page.querySelectorAll(".panel")].filter(p => p.offsetHeight > 0);
    const wide = [...page.querySelectorAll("main *, .top *")].filter(
      e => !e.closest("svg, .table, nav, .skip")
      && e.getBoundingClientRect().right > root.clientWidth + 1);
    const sizes = [...page.querySelectorAll("svg[role=img]")].filter(e => !e.closest(".panel")
      || shown.includes(e.closest(".panel"))).map(e => e.getBoundingClientRect());
    found.tabs.push({{
      link: link.getAttribute("href"), shown: shown.map(p => "#" + p.id), scroll: root.scrollWidth,
      client: root.clientWidth, wide: wide.map(e => e.tagName + "." + e.className), charts: sizes.length,
      drawn: sizes.filter(s => s.width > 0 && s.height > 0).length}});
  }}
  found.loaded = this.contentWindow.performance.getEntriesByType("resource").length;
  document.getElementById("found").textContent = JSON.stringify(found);
}};
</script>
"""
# Ticks one filter after another and tells which groups are then seen.
FILTERS = """
<iframe id="f" style="border:0;width:1200px;height:2000px" srcdoc="{page}"></iframe>
<pre id="found"></pre>
<script>
document.getElementById("f").onload = async function () {{
  this.onload = null;
  const page = this.contentDocument, found = {{}};
  this.contentWindow.location.hash = "#clinician";
  for (const choice of page.querySelectorAll(".filter input")) {{
    choice.checked = true;
    await new Promise(done => setTimeout(done, 50));
    found[choice.id] = [...page.querySelectorAll(".by-group tbody tr")].filter(r => r.offsetHeight > 0)
      .map(r => r.querySelector("th").textContent);
  }}
  const told = document.getElementById("found");
  told.textContent = JSON.stringify(found);
}};
</script>
"""


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    def run(html, *options):
        folder = tmp_path_factory.mktemp("browser")
        (folder / "page.html").write_text(html, encoding="utf-8")
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *options]
        done = subprocess.run(
            [*command, (folder / "page.html").as_uri()],
            capture_output=True,
            cwd=folder,
            timeout=120,
            check=True,
        )
        return folder, done.stdout.decode(), done.stderr.decode()

    return run


def complaints(log):
    return [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("shareable", [False, True])
def test_it_opens_without_a_complaint(browse, whole, shareable):
    html = render(*whole, shareable=shareable)
    _, dom, log = browse(html, "--dump-dom")
    assert not complaints(log)
    assert "This table may be shared." in dom
    assert dom.count("<svg") == html.count("<svg")


def test_a_page_that_loads_something_would_be_found(browse):
    html = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'"><img src="x.png">'
    assert complaints(browse(html, "--dump-dom")[2])


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_every_page_opens_and_nothing_is_cut_off_at_any_width(browse, whole, width):
    page = quoted(render(*whole, shareable=False))
    _, dom, _ = browse(PROBE.format(width=width, page=page), "--dump-dom", "--virtual-time-budget=9000")
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1])
    assert found["first"] == [True, *[False] * (len(found["tabs"]) - 1)]
    assert [tab["link"] for tab in found["tabs"]] == [
        "#checks",
        "#clinician",
        "#statistician",
        "#privacy",
        "#provenance",
    ]
    for tab in found["tabs"]:
        assert tab["shown"] == [tab["link"]]
        assert tab["wide"] == []
        assert tab["scroll"] <= tab["client"] <= width
        assert tab["drawn"] == tab["charts"] > 0
    assert sum(tab["charts"] for tab in found["tabs"]) > 10
    assert found["heading"] < 700
    assert found["loaded"] == 0


def test_it_is_light_by_day_and_dark_by_night(browse, release):
    html = render(*release, shareable=False)
    day = browse(
        html, "--screenshot=s.png", "--window-size=900,700", "--blink-settings=preferredColorScheme=1"
    )
    night = browse(
        html, "--screenshot=s.png", "--window-size=900,700", "--blink-settings=preferredColorScheme=0"
    )
    assert corner(day[0] / "s.png") > 240
    assert corner(night[0] / "s.png") < 40


def test_a_filter_shows_its_own_groups(browse, whole):
    page = quoted(render(*whole, shareable=False))
    _, dom, _ = browse(FILTERS.format(page=page), "--dump-dom", "--virtual-time-budget=9000")
    found = json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert found == {
        "by-all": ["sex: F", "sex: M", "ward: ward 0 & more"],
        "by-0": ["sex: F", "sex: M"],
        "by-1": ["ward: ward 0 & more"],
    }


def quoted(html):
    return html.replace("&", "&amp;").replace('"', "&quot;")


def test_it_prints(browse, whole):
    folder, _, log = browse(render(*whole, shareable=False), "--print-to-pdf=p.pdf", "--no-pdf-header-footer")
    pdf = (folder / "p.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    assert not complaints(log)


def corner(png):
    """Brightness of the first pixel, 0 to 255 (the first pixel of a row is stored as it is)."""
    content, at, packed = png.read_bytes(), 8, b""
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if content[at + 4 : at + 8] == b"IDAT":
            packed += content[at + 8 : at + 8 + length]
        at += 12 + length
    return sum(zlib.decompress(packed)[1:4]) / 3
