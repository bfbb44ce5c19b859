import json

import pytest

from ehrsynth.cli.drawing import drawn, show_facts, show_table


def test_progress_goes_to_stderr_as_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with drawn() as progress:
        for epoch in range(100):
            progress(epoch / 100, f"epoch {epoch} of 100")
        progress(1.0, "saving")
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 11
    assert err.splitlines()[-1] == "100% saving"


def test_facts_are_lines_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"table": "a.csv", "acceptance": 0.25, "where": None}, as_json=False)
    assert capsys.readouterr().out.splitlines() == ["table       a.csv", "acceptance  0.250", "where       -"]
    show_facts({"table": "a.csv", "where": None}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"table": "a.csv", "where": None}


def test_a_table_shows_words_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name", "value"), [("[bold]age", 0.5), ("sex", None)])
    out = capsys.readouterr().out
    assert "[bold]age" in out
    assert "0.500" in out
    assert "-" in out
