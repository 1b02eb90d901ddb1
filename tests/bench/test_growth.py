"""How sessions grow is measured on tables of a few hundred rows here: what is counted is right."""

from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.growth import tables
from bench.growth.__main__ import KINDS, Plan, measure
from bench.growth.hour import SAVES, live_through
from bench.growth.places import OnPostgreSQL, OnSQLite, Place
from bench.growth.rows import END, MIXED, Kind, data_of, digest, rows
from harness.servers.postgresql import PostgreSQL
from harness.servers.programs import ServerMissing
from myapp.sessions.core.codec import Codec, MessagePack
from myapp.sessions.sql.store import SqlStore

TINY = Plan(sizes=(100, 1000), rounds=1, kinds=100, active=20, expired=100, seconds=20)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, cheap_collections: None) -> dict[str, Any]:
    """What a run on SQLite measured."""
    return measure(TINY, [OnSQLite], tmp_path_factory.mktemp("growth"))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each of the places."""
    if request.param == "sqlite":
        return OnSQLite(tmp_path)
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return OnPostgreSQL(server)


@pytest.mark.parametrize("kind", [*KINDS.values(), MIXED])
def test_a_row_stores_what_its_kind_says(kind: Kind) -> None:
    """Five hundred bytes to the byte, which the codec can read."""
    (row,) = rows([7], 10, kind)
    content = Codec(MessagePack(), 2**16).decode(row["data"])
    assert content.values["name"]
    assert len(row["data"]) == len(data_of(kind)) == (kind.stored or len(row["data"]))
    assert (row["user_agent"] is not None) == kind.client


def test_two_rows_differ() -> None:
    """In their keys, and in what they store."""
    one, other = rows([7, 8], 10)
    for name in ("digest", "handle", "data"):
        assert one[name] != other[name]
    assert len(one["handle"]) == 22


def test_a_filled_table_is_the_stores_own(place: Place) -> None:
    """Every row can be loaded, none is expired yet, and the bytes of each index are known."""
    with place.database() as url:
        place.fill(url, 300)
        store = SqlStore(url)
        assert store.count() == 300
        found = [store.load([digest(number)])[0] for number in range(300)]
        assert all(session.expires_at > END - 1 for session in found)
        assert store.sweep(END - 1, 10) == 0
        store.close()
        weights = place.bytes(url)
    assert weights["sessions"] > 300 * 500
    assert sorted(weights.keys() - {"sessions"}) == [
        *("ix_sessions_sweep_at", "ix_sessions_user_id", "pk_sessions", "uq_sessions_handle"),
    ]


def test_the_run_measures_each_size(result: dict[str, Any]) -> None:
    """Reads of both sorts, and what was swept within the time."""
    found = result["databases"]["SQLite"]
    assert [each["rows"] for each in found["tables"]] == [100, 1000]
    assert found["tables"][0]["hot"]["ratio"] == 1
    for pace in ("paced", "full"):
        swept = found["sweep"][pace]
        assert swept["swept"] >= TINY.expired
        assert swept["reads"]["p50"] > 0


def test_tables_have_a_row_for_each_result(result: dict[str, Any]) -> None:
    """A figure in the docs comes from a run."""
    made = tables(result)
    assert len(_lines(made["reads"])) == len(_lines(made["bytes"])) == 2
    assert len(_lines(made["kinds"])) == len(KINDS)
    assert len(_lines(made["sweep"])) == 3
    assert _lines(made["updates"]) == []
    assert f"| {result['databases']['SQLite']['tables'][1]['hot']['p50']:.0f} |" in made["reads"]


def test_the_pages_show_what_was_kept(
    result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each table and each picture has its place in one of them."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.keep("growth", "the command", result)
    pages = "\n".join(report.render().values())
    without = ("updates",)  # they are PostgreSQL's
    shown = {name: text in pages for name, text in tables(result).items() if name not in without}
    assert all(shown.values()), shown
    assert "growth-reads.svg" in pages
    assert "growth-bytes.svg" in pages


def test_a_target_that_is_missed_is_called_so(result: dict[str, Any]) -> None:
    """The report hides nothing."""
    (kind, *_) = KINDS
    made = tables(result | {"databases": {"SQLite": _weighing(kind, 801)}})
    assert _lines(made["targets"])[-1].endswith(" **missed** |")
    made = tables(result | {"databases": {"SQLite": _weighing(kind, 800)}})
    assert _lines(made["targets"])[-1].endswith(" met |")


def test_touches_and_saves_of_an_hour_are_heap_only(postgresql: PostgreSQL) -> None:
    """P1: 95 % of them write to no index."""
    place = OnPostgreSQL(postgresql)
    with place.database() as url:
        place.fill(url, 1000)
        store = SqlStore(url)
        hour = live_through(store, url, 1000, 20)
        store.close()
    # Touches within a minute of each other are left out, saves never.
    assert 20 * SAVES < hour["updates"] <= hour["active"] * 20
    assert hour["hot"] >= 0.95
    assert hour["log"] > 0


def test_a_missing_server_is_left_out_and_named(tmp_path: Path) -> None:
    """The rest is measured without it."""
    result = measure(TINY, [Missing], tmp_path)
    assert result["missing"] == {"SQLite": "it is not installed: fetch it"}
    assert result["databases"] == {}


class Missing(OnSQLite):
    """A place whose server is not there."""

    def __init__(self, folder: Path) -> None:
        raise ServerMissing("it is not installed: fetch it")


def _weighing(kind: str, size: float) -> dict[str, Any]:
    """A result with one figure that is judged."""
    found = {"tables": [], "kinds": {kind: {"sessions": size}}, "sweep": {"paced": _SWEPT} | _REST}
    return found | {"version": "3", "setup": "as shipped"}


_SWEPT = {"swept": 1, "rate": 1.0, "reads": {"p50": 1.0, "p99": 1.0}}
_REST = {"alone": {"p50": 1.0, "p99": 1.0}, "full": _SWEPT}


def _lines(table: str) -> list[str]:
    """Its rows, without head and ruler."""
    return table.splitlines()[2:]
