"""Dates that are learnt as the time since an earlier one: draws, densities and conditions say the same."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ehrsynth.conditions import CodeSet, Condition
from ehrsynth.encoding import encode
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.generators.chain.echo import EchoLink
from ehrsynth.generators.chain.elapsed import elapsed_between
from ehrsynth.generators.chain.elapsed_link import ElapsedLink
from ehrsynth.schema import BooleanColumn, DateColumn, DatetimeColumn, Schema

_N = 1_500
_FIRST, _LAST = "2020-01-01", "2021-12-31"
_DAYS = pd.date_range(_FIRST, _LAST)


def _moment(name: str, form: str) -> DatetimeColumn:
    return DatetimeColumn(name=name, minimum=f"{_FIRST}T00:00:00", maximum=f"{_LAST}T23:59:59", format=form)


def _ward() -> Schema:
    dates = {"minimum": _FIRST, "maximum": _LAST}
    return Schema(
        name="ward",
        columns=(
            BooleanColumn(name="elective"),
            DatetimeColumn(
                name="arrival", minimum=f"{_FIRST}T00:00", maximum=f"{_LAST}T23:59", format="%Y-%m-%d %H:%M"
            ),
            DateColumn(name="admission", missing=True, **dates),
            DateColumn(name="discharge", missing=True, **dates),
            DatetimeColumn(
                name="death", missing=True, minimum=f"{_FIRST}T00:00:00", maximum=f"{_LAST}T23:59:59"
            ),
        ),
    )


def _patients(seed: int = 0) -> pd.DataFrame:
    """Some have no admission, few of them a discharge; of the last weeks many stays end beyond the year."""
    rng = np.random.default_rng(seed)
    elective = rng.random(_N) < 0.5
    minutes = rng.integers(0, len(_DAYS) * 1_440, _N)
    arrival = pd.Series(pd.Timestamp(_FIRST) + pd.to_timedelta(minutes, unit="min"))
    admission = arrival.dt.normalize() + pd.to_timedelta((rng.random(_N) < 0.1) * 1, unit="D")
    stay = np.where(elective, rng.integers(0, 5, _N), rng.integers(3, 60, _N))
    discharge = admission + pd.to_timedelta(stay, unit="D")
    discharge[(discharge > _LAST) | (rng.random(_N) < 0.1)] = pd.NaT
    death = arrival + pd.to_timedelta(rng.exponential(40, _N) * 86_400 // 1, unit="s")
    death[(death > _LAST) | (rng.random(_N) < 0.7)] = pd.NaT
    admission[(rng.random(_N) < 0.2) | (admission > _LAST)] = pd.NaT
    table = pd.DataFrame(
        {
            "elective": elective,
            "arrival": arrival,
            "admission": admission,
            "discharge": discharge,
            "death": death,
        }
    )
    return table.astype({"elective": "boolean"} | dict.fromkeys(table.columns[1:], "datetime64[s]"))


@pytest.mark.parametrize(
    ("own", "earlier"),
    [
        (
            DateColumn(name="a", minimum=_FIRST, maximum=_LAST),
            DateColumn(name="b", minimum="2015-03-01", maximum=_LAST),
        ),
        (DateColumn(name="a", minimum=_FIRST, maximum=_LAST), _moment("b", "%Y-%m-%d %H:%M")),
        (_moment("a", "%Y-%m-%d %H:%M:%S"), DateColumn(name="b", minimum=_FIRST, maximum=_LAST)),
        (_moment("a", "%Y-%m-%d %H:%M"), _moment("b", "%Y-%m-%d %H:%M:%S")),
        (_moment("a", "%Y-%m-%d %H"), _moment("b", "%Y-%m-%d %H:%M")),
    ],
)
def test_counting_is_undone_and_origins_are_found_in_any_steps(own: DateColumn, earlier: DateColumn) -> None:
    schema = Schema(name="two", columns=(own, earlier))
    elapsed, rng = elapsed_between(schema, 0, 1), np.random.default_rng(0)
    codes, origins = rng.integers(own.size, size=2_000), rng.integers(-1, earlier.size, size=2_000)
    counted = elapsed.counted(codes, origins)
    assert ((counted >= elapsed.border) == (origins < 0)).all()
    assert (counted >= 0).all()
    assert (counted < elapsed.size).all()
    back, beyond = elapsed.dated(counted, origins)
    assert (back == codes).all()
    assert not beyond.any()
    some = origins >= 0
    low, high = elapsed.origins(
        codes[some], codes[some], (int(counted[some].min()), int(counted[some].max()))
    )
    assert ((low <= origins[some]) & (origins[some] <= high)).all()
    # Of one time alone, the origins are those from which it leads to the date, and no others.
    for code, origin, time in zip(codes[some][:20], origins[some][:20], counted[some][:20], strict=True):
        first, last = (int(end[0]) for end in elapsed.origins(code[None], code[None], (time, time)))
        around = np.arange(max(first - 1, 0), min(last + 2, earlier.size))
        reached = elapsed.counted(np.full(len(around), code), around) == time
        assert around[reached].tolist() == list(range(first, last + 1))
        assert first <= origin <= last


def test_few_dates_without_an_origin_are_anywhere_on_the_grid() -> None:
    table = _patients().assign(elective=pd.array([True] * _N, "boolean"))
    rare = np.arange(_N) < 5
    table["admission"] = table["arrival"].dt.normalize().mask(table["admission"].isna())
    table.loc[table["admission"].isna(), "discharge"] = pd.NaT
    table.loc[rare, "admission"], table.loc[rare, "discharge"] = pd.NaT, pd.Timestamp("2020-07-01")
    schema = _ward().subset(("elective", "admission", "discharge"))
    fitted = Autoregressive(trees=2, rounds=40).fit(table[list(schema.names)], schema, seed=1)
    drawn = fitted.sample(40_000, seed=2).table
    odd = drawn.loc[drawn["admission"].isna() & drawn["discharge"].notna(), "discharge"]
    assert 20 < len(odd) < 600
    assert (odd == odd.mode()[0]).mean() < 0.2


@pytest.fixture(scope="module")
def model() -> FittedAutoregressive:
    fitted = Autoregressive(trees=2, rounds=60).fit(_patients(), _ward(), seed=1)
    assert isinstance(fitted, FittedAutoregressive)
    return fitted


@pytest.fixture(scope="module")
def free(model: FittedAutoregressive) -> pd.DataFrame:
    return model.sample(20_000, seed=2).table


def _step(model: FittedAutoregressive, name: str) -> int:
    return model.chain.names.index(name)


def test_all_dates_but_the_first_are_counted_from_an_earlier_one(model: FittedAutoregressive) -> None:
    assert len(model.chain.elapsed) == 3


def _days(table: pd.DataFrame, low: str, high: str) -> "pd.Series[Any]":
    return (table[high].dt.normalize() - table[low].dt.normalize()).dt.days.dropna()


@pytest.mark.parametrize(
    ("low", "high"),
    [("arrival", "admission"), ("admission", "discharge"), ("arrival", "discharge"), ("arrival", "death")],
)
def test_times_between_dates_are_those_of_the_patients(free: pd.DataFrame, low: str, high: str) -> None:
    real, drawn = _days(_patients(), low, high), _days(free, low, high)
    assert len(drawn) / len(free) == pytest.approx(len(real) / _N, abs=0.04)
    for share in (0.02, 0.1, 0.5, 0.9):
        wanted = float(real.quantile(share))
        assert float(drawn.quantile(share)) == pytest.approx(wanted, abs=max(1.5, 0.2 * wanted))


def test_no_date_heaps_at_the_end_of_the_grid(free: pd.DataFrame) -> None:
    real = _patients()
    for name in ("discharge", "death"):
        last = pd.Timestamp(_LAST)
        assert (free[name] >= last).mean() == pytest.approx((real[name] >= last).mean(), abs=0.004)


@pytest.mark.parametrize("name", ["admission", "discharge"])
def test_the_chances_of_all_dates_and_missing_add_up_to_one(model: FittedAutoregressive, name: str) -> None:
    chain, codes, rows = model.chain, encode(_patients(), model.schema), 40
    step = _step(model, name)
    size = model.schema.column(name).size  # type: ignore[union-attr]
    seen = chain.matrix(codes)[:rows, :step]
    own = np.arange(-1, size)
    many = np.repeat(np.arange(rows), len(own))
    density = chain.link(step, codes[many]).log_density(seen[many], np.tile(own, rows))
    density = np.exp(density).reshape(rows, -1)
    assert density.sum(axis=1) == pytest.approx(1)
    low = np.random.default_rng(1).integers(0, size, rows)
    high = np.minimum(low + 100, size - 1)
    expected = [density[row, low[row] + 1 : high[row] + 2].sum() for row in range(rows)]
    assert chain.link(step, codes[:rows]).mass(seen, low, high) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    "allowed",
    [
        CodeSet(((0, 730),), missing=False),
        CodeSet(((300, 420),), missing=False),
        CodeSet(((0, 100), (400, 400), (600, 730)), missing=True),
        CodeSet((), missing=True),
    ],
)
def test_draws_and_masses_are_those_of_the_density(model: FittedAutoregressive, allowed: CodeSet) -> None:
    chain, codes = model.chain, encode(_patients(), model.schema)
    step, rng, times = _step(model, "discharge"), np.random.default_rng(3), 4_000
    found = chain.link(step, codes)
    link = found.link if isinstance(found, EchoLink) else found
    assert isinstance(link, ElapsedLink)
    own = np.arange(-1, 731)
    for row in (*range(5), int(codes[:, model.schema.names.index("arrival")].argmax())):
        seen = chain.matrix(codes[[row]])[:, :step]
        density = np.exp(
            chain.link(step, codes[[row]].repeat(len(own), 0)).log_density(seen.repeat(len(own), 0), own)
        )
        inside = allowed.contains(own)
        at = np.repeat(row, times)
        found, mass = chain.link(step, codes[at]).draw(seen.repeat(times, 0), allowed, rng)
        assert mass == pytest.approx(density[inside].sum(), abs=1e-9)
        if mass[0] > 1e-6:
            assert allowed.contains(found).all()
            share = np.bincount(found + 1, minlength=len(own)) / times
            assert np.abs(share.cumsum() - (density * inside).cumsum() / mass[0]).max() < 0.035


def test_free_draws_are_those_of_the_density(model: FittedAutoregressive) -> None:
    chain, codes = model.chain, encode(_patients(), model.schema)
    step, rng, times = _step(model, "discharge"), np.random.default_rng(4), 4_000
    own = np.arange(-1, 731)
    for row in (*range(5), int(codes[:, model.schema.names.index("arrival")].argmax())):
        seen = chain.matrix(codes[[row]])[:, :step]
        density = np.exp(
            chain.link(step, codes[[row]].repeat(len(own), 0)).log_density(seen.repeat(len(own), 0), own)
        )
        found, _ = chain.link(step, codes[np.repeat(row, times)]).draw(seen.repeat(times, 0), None, rng)
        share = np.bincount(found + 1, minlength=len(own)) / times
        assert np.abs(share.cumsum() - density.cumsum()).max() < 0.035


@pytest.mark.parametrize(
    "where",
    [
        'discharge < "2020-02-01"',
        'discharge >= "2021-12-20"',
        'discharge == "2021-03-04" or missing(discharge)',
        "missing(admission) and not missing(discharge)",
        'death >= "2021-06-01T00:00:00" and discharge < "2021-07-01"',
        "discharge > admission",
    ],
)
def test_a_condition_has_the_share_of_the_free_rows(
    model: FittedAutoregressive, free: pd.DataFrame, where: str
) -> None:

    met = Condition.parse(where, model.schema).mask(encode(free, model.schema)).mean()
    found = model.sample(500, where=where, seed=5)
    assert found.probability == pytest.approx(met, rel=0.15)
    assert Condition.parse(where, model.schema).mask(encode(found.table, model.schema)).all()


@pytest.mark.parametrize("unknown", [["admission"], ["arrival", "admission"], ["discharge"]])
def test_unknown_dates_are_near_the_known_ones(model: FittedAutoregressive, unknown: list[str]) -> None:
    real = _patients(1).dropna(subset=["admission", "discharge", "death"])[:40].reset_index(drop=True)
    stays = _days(real, "admission", "discharge")
    partial = real.assign(**{name: pd.Series(pd.NaT, real.index, real[name].dtype) for name in unknown})
    found = model.complete(partial, draws=20, seed=6)
    assert np.median(found.effective_sample_size) > 12
    assert found.effective_sample_size.min() > 3  # of 20, with both of a patient's earlier dates unknown
    drawn = _days(found.table, "admission", "discharge")
    assert len(drawn) == 20 * len(real)
    assert drawn.between(0, 60).mean() > 0.98
    assert drawn.median() == pytest.approx(stays.median(), abs=5)
    assert _days(found.table, "arrival", "admission").between(0, 1).mean() > 0.98


def test_an_unknown_origin_is_distributed_as_among_free_rows(
    model: FittedAutoregressive, free: pd.DataFrame
) -> None:
    alike = free[
        (free["discharge"] >= "2021-02-01") & (free["discharge"] < "2021-04-01") & free["admission"].notna()
    ]
    partial = pd.DataFrame({"discharge": pd.date_range("2021-02-01", "2021-03-31").astype("datetime64[s]")})
    for name in ("arrival", "admission", "death"):
        partial[name] = pd.Series(pd.NaT, partial.index, "datetime64[s]")
    partial["elective"] = pd.Series(pd.NA, partial.index, "boolean")
    found = model.complete(partial[list(free.columns)], draws=40, seed=7).table
    stays, real = _days(found, "admission", "discharge"), _days(alike, "admission", "discharge")
    for days in (0, 4, 20, 50):
        assert (stays <= days).mean() == pytest.approx((real <= days).mean(), abs=0.1)
    assert found["elective"].mean() == pytest.approx(alike["elective"].mean(), abs=0.1)


@pytest.mark.parametrize("order", [("seen", "day"), ("day", "seen")])
def test_a_date_that_is_always_the_day_of_a_moment_stays_its_day(order: tuple[str, str]) -> None:
    columns = {
        "seen": _moment("seen", "%Y-%m-%d %H:%M"),
        "day": DateColumn(name="day", minimum=_FIRST, maximum=_LAST),
    }
    schema = Schema(name="visits", columns=tuple(columns[name] for name in order))
    minutes = np.random.default_rng(0).integers(0, len(_DAYS) * 1_440, _N)
    seen = pd.Series(pd.Timestamp(_FIRST) + pd.to_timedelta(minutes, unit="min"))
    table = pd.DataFrame({"seen": seen, "day": seen.dt.normalize()})[list(order)].astype("datetime64[s]")
    model = Autoregressive(rounds=20, trees=2).fit(table, schema, seed=1)
    drawn = model.sample(1_000, seed=2).table
    assert (drawn["seen"].dt.normalize() == drawn["day"]).mean() > 0.99
