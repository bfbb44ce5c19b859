"""The page: whole without a network, readable for everybody, and silent about what may not leave."""

import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from ehrsynth.registry import known
from ehrsynth.release.appraisal import appraise
from ehrsynth.report.charts import percent
from ehrsynth.report.page import render
from ehrsynth.report.provenance import Guarantee
from ehrsynth.tables import read_table
from ehrsynth.tables.bundled import bundled

LARGEST = 8_000_000  # bytes
VOID = {"meta", "link", "img", "br", "hr", "input", "base", "source", "embed"}
LOADING = {"href", "src", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """Tags with their attributes, and the text that is shown."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.open, self.unclosed = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.unclosed.append(tag)

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, *names):
        return [(t, a) for t, a in self.tags if t in names]


@pytest.fixture(params=["release", "whole"])
def one(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[False, True], ids=["internal", "shareable"])
def html(request, one):
    return render(*one, shareable=request.param)


@pytest.fixture
def internal(release):
    return render(*release, shareable=False)


@pytest.fixture
def shared(release):
    return render(*release, shareable=True)


def loads(html):
    """What a browser would fetch for a page, whatever its address."""
    page = Page(html)
    fetching = ("script", "link", "img", "iframe", "object", "embed", "video", "audio", "base", "form")
    yield from (tag for tag, _ in page.all(*fetching))
    for tag, attributes in page.tags:
        yield from (
            f"{tag} {attributes[name]}"
            for name in LOADING & attributes.keys()
            if not attributes[name].startswith("#")
        )
        yield from (f"{tag} {name}" for name in attributes if name.startswith("on"))
        yield from re.findall(r"url\([^)]*", attributes.get("style") or "")
    css = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    yield from re.findall(r"url\(|@import|@font-face|https?:", css)


def test_nothing_is_loaded_from_anywhere(html):
    assert "<style>" in html
    assert not list(loads(html))
    assert "style-src 'unsafe-inline'" in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="https://example.org/a.png">',
        '<a href="http://example.org">there</a>',
        "<style>@font-face {src: url(//example.org/a.woff)}</style>",
        '<p style="background: url(https://example.org)">',
        "<script>fetch('https://example.org')</script>",
        '<meta content="x" onload="y">',
    ],
)
def test_what_is_loaded_would_be_seen(shared, planted):
    assert list(loads(shared.replace("</body>", f"{planted}</body>")))


def test_a_page_of_thirty_columns_with_everything_measured_is_small_and_offline():
    """The demo's columns, all metrics and all attacks: more patients add bars of the same number."""
    trial = bundled("ist")
    schema = trial.demo_schema
    table = read_table(trial.path, schema)
    sides = (table.iloc[300 * n : 300 * (n + 1)].reset_index(drop=True) for n in range(3))
    found = appraise(*sides, schema, seed=1)
    assert len(schema.columns) == 30
    assert found.evaluation.scores.keys() == set(known("metric"))
    assert found.evaluation.risks.keys() >= set(known("attack"))
    for shareable in (False, True):
        page = render(found.decision, found.provenance, found.evaluation, schema, shareable=shareable)
        assert 200_000 < len(page.encode()) < LARGEST
        assert not list(loads(page))


def test_it_is_well_formed(html):
    page = Page(html)
    assert not page.unclosed
    assert not page.open
    ids = Counter(a["id"] for _, a in page.tags if "id" in a)
    assert set(ids.values()) == {1}
    assert {a["href"][1:] for _, a in page.all("a")} <= set(ids)


def test_everybody_can_read_it(html):
    page = Page(html)
    levels = [int(t[1]) for t, _ in page.tags if re.fullmatch("h[1-6]", t)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all("scope" in a for _, a in page.all("th"))
    assert all(a.get("aria-label") or a.get("aria-hidden") for _, a in page.all("svg"))
    assert all(a.get("role") == "img" for _, a in page.all("svg") if "aria-label" in a)
    assert page.all("html") == [("html", {"lang": "en"})]
    assert any(a.get("name") == "viewport" for _, a in page.all("meta"))
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_first_screen_is_the_decision(release, blocked):
    yes, no = (Page(render(*case, shareable=False)).text for case in (release, blocked))
    assert "This table may be shared." in yes[:400]
    assert "This table must not be shared." in no[:400]
    assert "All 5 checks of the policy passed." in yes[:500]
    assert "2 of 5 checks say no." in no[:500]
    assert all(reason in no[:1000] for reason in blocked[0].reasons)


def test_every_check_score_risk_and_column_is_there(release, internal):
    decision, _, evaluation, schema = release
    text = Page(internal).text
    for check in decision.checks:
        assert check.name in text
        assert check.citation[:40] in text
    for risk in evaluation.risks.values():
        assert f"{risk.value:.3f}" in text
    for score in evaluation.scores.values():
        assert f"{score.value:.3f}" in text
        assert f"{score.reference:.3f}" in text
    for column in schema.learnt:
        assert column.name in text


def test_without_a_guarantee_nothing_is_called_private_or_anonymous(html):
    text = Page(html).text
    assert "No formal guarantee" in text
    assert not re.search(r"\b(private|privately|anonym(?!eter)\w*|de-?identified)\b", text, re.IGNORECASE)


def test_the_seed_the_command_the_register_and_the_attempt_stay_inside(release, internal, shared):
    _, provenance, _, _ = release
    for secret in (str(provenance.seed), provenance.command, provenance.register, "Attempt on this data"):
        assert secret in internal
        assert secret not in shared


def test_counts_of_attacks_stay_inside(release, internal, shared):
    risk = release[2].risks["inference"]
    assert f"{risk.n_attacks:,} tries on training patients" in Page(internal).text
    assert "at most 0.08" in Page(shared).text  # 0.071, rounded up
    for secret in (f"{risk.n_attacks:,}", "41.3 %", "0.051", "0.020 to 0.071", "0.071"):
        assert secret in internal
        assert secret not in shared


def test_copied_rows_may_be_few_and_stay_inside(internal, shared):
    assert "Synthetic rows that are equal to a training patient" in internal
    assert "Synthetic rows that are equal to a training patient" not in shared
    assert "Copied rows above" in shared


def test_small_cells_and_what_gives_them_away_stay_inside(release, internal, shared):
    rows = release[2].columns[0].real_rows
    internal, shared = unescape(internal), unescape(shared)
    # 7 of the young; 4 without a blood pressure; 3 who died. Each has a companion that would tell.
    for count in (7, 4, 3, 500, 4003, 10_004):
        said = f"real {percent(count / rows)}"
        assert said in internal
        if count != 500:  # as many stand in each ward, which is no secret
            assert said not in shared
    young, ward = (f'aria-label="Histogram of {n}' for n in ("age", "sbp"))
    part = shared[shared.index(young) : shared.index(ward)]
    assert "20 to 29: real not shown" in part
    assert "30 to 39: real not shown" in part
    assert "60 to 69: real 30.0 %" in part
    assert "Not shown: 1 to 10 patients" in shared
    assert "Not shown: 1 to 10 patients" not in internal


def test_the_policys_small_cell_is_the_one_that_holds(release):
    html = render(*release, shareable=True, small_cell=600)
    assert "Not shown: 1 to 600 patients" in html
    assert f"real {percent(500 / release[2].columns[0].real_rows)}" not in html


def test_the_two_versions_say_which_they_are(internal, shared):
    assert "Internal: shows statistics of real patients" in internal
    assert "May be shared" in shared
    assert "stay inside the hospital" in " ".join(shared.split())


def test_a_guarantee_keeps_everything_measured_on_real_patients_inside(release):
    decision, provenance, evaluation, schema = release
    provenance = replace(provenance, guarantee=Guarantee(1.0, 1e-6, "rdp"))
    shared = Page(render(decision, provenance, evaluation, schema, shareable=True)).text
    inside = Page(render(decision, provenance, evaluation, schema, shareable=False)).text
    assert "epsilon 1, delta 1e-06 (rdp)" in shared
    assert "It cannot be made again: the seed of the noise is kept nowhere." in inside
    assert "What is needed to make the same table again." not in inside
    assert not re.search(r"\breal (\d|<|>|not)", shared)
    assert "Real against real" not in shared.partition("What this report means by them")[0]
    assert f"{provenance.rows.holdout:,}" not in shared
    for check in decision.checks:
        assert check.explanation not in shared
        assert check.explanation in inside
    for score in evaluation.scores.values():
        assert f"{score.value:.3f}" not in shared
        assert f"{score.value:.3f}" in inside


def test_what_was_not_measured_says_why(release):
    decision, provenance, evaluation, schema = release
    scores = dict(evaluation.scores)
    scores["pair_trends"] = replace(
        scores["pair_trends"], value=None, low=None, high=None, details={}, reason="there is one column"
    )
    text = Page(
        render(decision, provenance, replace(evaluation, scores=scores), schema, shareable=False)
    ).text
    assert "Not measured here: there is one column." in text
    assert "How strongly each pair" not in text


def test_names_cannot_break_out(release):
    decision, provenance, evaluation, schema = release
    evil = '"><script>alert(1)</script>'
    html = render(
        decision, replace(provenance, command=evil), evaluation, schema.changed(title=evil), shareable=False
    )
    assert "<script" not in html
    assert not Page(html).all("script")


def test_it_is_small(html):
    assert len(html.encode()) < 500_000
