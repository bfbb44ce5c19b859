"""The page of a rebalancing: self-contained, everything on it, odd names escaped."""

import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser

import pytest

from ehrsynth.files import plain
from ehrsynth.rebalance.job import rebalance
from ehrsynth.rebalance.results import as_values
from ehrsynth.report.rebalancing import interval, line_chart, number, render_rebalancing, write_rebalancing
from minority import DEATH, HOSPITAL, hospital


@pytest.fixture(scope="module")
def told():
    methods = ("smote", "interaction", "smotenc", 'brnet network={"steps":10}')
    found = rebalance(hospital(400), HOSPITAL, DEATH, methods=methods, splits=2, apply="smote", seed=1)
    return {**plain(as_values(found)), "files": ["treatment.json"]}


def test_it_loads_nothing_and_is_whole(told) -> None:
    html = render_rebalancing(told)
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "<script" not in html

    class Balanced(HTMLParser):
        open_tags: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):  # noqa: ARG002
            if tag not in {"meta", "line", "path", "circle", "rect", "br"}:
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag not in {"line", "path", "circle", "rect"}:
                assert self.open_tags.pop() == tag

    parser = Balanced()
    parser.feed(html)
    assert parser.open_tags == []


def test_everything_that_was_found_is_on_it(told) -> None:
    html = render_rebalancing(told)
    assert told["sentence"] in html
    assert told["error_rates"] in html
    for name in told["methods"]:
        assert name.replace('"', "&#34;") in html
    for words in (
        "Who there is",
        "How much there is to gain",
        "Membership risk",
        "Hospitals left out",
        "BR-Net",
    ):
        assert words in html
    for row in told["reasons"]:
        assert row.replace("'", "&#39;").replace('"', "&#34;") in html


def test_odd_names_are_escaped(told) -> None:
    text = json.dumps(told).replace("sex: F", "<b>sex</b>")
    html = render_rebalancing(json.loads(text))
    assert "<b>sex</b>" not in html
    assert "&lt;b&gt;sex&lt;/b&gt;" in html


def test_what_fails_is_told(told) -> None:
    html = render_rebalancing(told | {"failed": {"adasyn": "too few"}})
    assert "<strong>adasyn</strong>: too few" in html


def test_numbers_and_intervals() -> None:
    assert number(None) == "\N{EN DASH}"
    assert number(1234.5, 0) == "1,234"
    assert interval({"value": 0.01, "low": -0.02, "high": 0.04}) == "+0.010 (-0.020 to +0.040)"
    assert interval(None) == "\N{EN DASH}"
    assert line_chart("nothing", []) == ""
    assert line_chart("one", [(3, 0.5)]).count("<circle") == 1


def test_a_folder_that_is_taken_is_left_alone(tmp_path) -> None:
    from ehrsynth.errors import OutputError

    found = rebalance(hospital(300), HOSPITAL, DEATH, methods=("none",), splits=2, seed=1)
    (tmp_path / "x").touch()
    with pytest.raises(OutputError):
        write_rebalancing(found, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """
<iframe id="f" style="border:0;width:{width}px;height:2000px" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
document.getElementById("f").onload = function () {{
  const page = this.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("main *, .top *")].filter(
    e => !e.closest("svg, .table, .skip") && e.getBoundingClientRect().right > root.clientWidth + 1);
  document.getElementById("found").textContent = JSON.stringify(
    {{scroll: root.scrollWidth, client: root.clientWidth, wide: wide.map(e => e.tagName)}});
}};
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_on_a_phone_or_a_screen(told, tmp_path, width) -> None:
    page = PROBE.format(width=width, page=escape(render_rebalancing(told)))
    (tmp_path / "page.html").write_text(page)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [*command, (tmp_path / "page.html").as_uri()],
        capture_output=True,
        check=True,
        timeout=120,
        cwd=tmp_path,
    )
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout.decode()).group(1))
    assert found["wide"] == []
    assert found["scroll"] == found["client"]
