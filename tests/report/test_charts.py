"""The charts are valid SVG, safe for any name, and draw no number that is not given."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.report.charts import bar_pair, gauge, heat_map, histogram, percent

NASTY = "<script>\"&' 😀 é"
SHARES = st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=8)


def titles(svg):
    return [element.text for element in svg.iter() if element.tag == "title"]


@given(SHARES, st.data())
def test_a_histogram_is_valid_and_says_each_bin(real, data):
    made = data.draw(st.lists(st.floats(0, 1) | st.none(), min_size=len(real), max_size=len(real)))
    labels = [f"{NASTY}{i}" for i in range(len(real))]
    svg = ET.fromstring(histogram(NASTY, labels, real, made))  # noqa: S314 - our own output
    assert svg.attrib["aria-label"].startswith("Histogram of")
    assert len(titles(svg)) == len(real)
    assert len([e for e in svg if e.get("class") == "hidden-cell"]) == sum(r is None for r in real)


def test_a_hidden_cell_has_one_size_and_no_number():
    first = histogram("age", ["a", "b"], [None, 0.9], [0.1, 0.9])
    assert "real not shown, synthetic 10.0 %" in first
    hidden = [e for e in ET.fromstring(first) if e.get("class") == "hidden-cell"]  # noqa: S314
    assert hidden[0].attrib["height"] == "5.00"


def test_bars_are_as_long_as_their_shares():
    svg = ET.fromstring(bar_pair("F", 0.25, 0.5, 0.5))  # noqa: S314
    real, made = (svg.find(f"rect[@class='{name}']") for name in ("real", "synthetic"))
    assert float(real.attrib["width"].rstrip("%")) == 50
    assert float(made.attrib["width"].rstrip("%")) == 100


def test_the_rare_stays_visible_and_nothing_stays_nothing():
    svg = ET.fromstring(bar_pair("F", 1e-6, 0.0, 1.0))  # noqa: S314
    assert svg.find("rect[@class='real']").attrib["width"] == "0.60%"
    assert svg.find("rect[@class='synthetic']").attrib["width"] == "0"


def test_a_heat_map_has_the_lower_triangle_alone():
    names = ["a", NASTY, "c", "d"]
    values = [[None if i == 3 else 0.5 for _ in names] for i in range(4)]
    svg = ET.fromstring(heat_map("pairs", names, values, "real"))  # noqa: S314
    assert len(titles(svg)) == 6
    assert len(svg.findall("rect[@class='none']")) == 3
    assert "".join(t.text for t in svg.findall("text")).startswith("a<script>")


def test_a_gauge_keeps_every_mark_on_its_scale():
    svg = ET.fromstring(gauge("risk", 5.0, -1.0, 9.0, span=(0.0, 0.18), mark=-3.0, limit=0.09))  # noqa: S314
    line = svg.find("line[@class='interval']")
    assert (line.attrib["x1"], line.attrib["x2"]) == ("4.0", "196.0")
    assert svg.find("line[@class='limit']").attrib["x1"] == "100.0"
    assert svg.find("circle").attrib["cx"] == "196.0"


@pytest.mark.parametrize("share", [1e-9, 0.0004, 0.9999999])
def test_nearly_none_is_not_none_and_nearly_all_is_not_all(share):
    assert percent(share) not in {"0 %", "0.0 %", "100 %", "100.0 %"}
