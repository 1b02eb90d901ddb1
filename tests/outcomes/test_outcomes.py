"""Each row of the table of outcomes, on each database, looked up in the database afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.wire import Proxy
from myapp.sessions.core.events import ChangeDropped, SessionEnded
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import digest
from tests.conftest import DATABASES
from tests.outcomes.app import OutcomeApp
from tests.outcomes.table import ACTIONS, DBSESSIONS, JOINED, ROWS, VETOES, Row, expected

# Each row is tried with every use of the database and of the session at the level that a database
# is most used with; at another level only races can end differently, and with a commit veto only
# the rows that it decides.
USUAL = {"sqlite": None, "postgresql": "READ COMMITTED", "mariadb": "REPEATABLE READ"}
OTHERS: dict[str, tuple[str, ...]] = {
    "sqlite": (),
    "postgresql": ("REPEATABLE READ", "SERIALIZABLE"),
    "mariadb": ("READ COMMITTED", "SERIALIZABLE"),
}
RACES = ("return_200", "raise_403", "retried")
Place = tuple[str, str | None, str]
"""Database, level of isolation, commit veto."""
PLACES: list[Place] = [
    (kind, level, veto)
    for kind in DATABASES
    for level in (USUAL[kind], *OTHERS[kind])
    for veto in (VETOES if level == USUAL[kind] else ("unset",))
]
SERVED = [place for place in PLACES if place[0] != "sqlite"]


def is_worth_trying(place: Place, row: Row, dbsession: str) -> bool:
    """Whether this place can tell more of a row than the others do."""
    kind, level, veto = place
    if level != USUAL[kind]:
        return row.cut or (row.name in RACES and dbsession != "elsewhere")
    return veto == "unset" or row.commits is not row.commits_with_veto


@pytest.fixture(scope="module")
def app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OutcomeApp, str]]:
    """An application on a database, with a level of isolation and with or without commit veto."""
    kind, level, veto = request.param
    folder = tmp_path_factory.mktemp("outcomes")
    if kind == "sqlite":
        urls = (f"sqlite:///{folder / 'here.sqlite'}", f"sqlite:///{folder / 'there.sqlite'}")
        made = OutcomeApp(*urls, veto=veto)
        yield made, veto
        made.close()
        return
    server = request.getfixturevalue(kind)
    with server.database() as here, server.database() as there:
        made = OutcomeApp(here, there, veto=veto, isolation=level)
        yield made, veto
        made.close()


@pytest.fixture(scope="module")
def proxied_app(request: pytest.FixtureRequest) -> Iterator[tuple[OutcomeApp, str]]:
    """The same, with a proxy before the database that can cut connections."""
    kind, level, veto = request.param
    server = request.getfixturevalue(kind)
    with server.database() as here, server.database() as there, Proxy(here) as proxy:
        made = OutcomeApp(proxy.url, there, veto=veto, isolation=level, proxy=proxy)
        yield made, veto
        made.close()


def place_id(place: Place) -> str:
    """The name of a place in a test's id."""
    return "-".join(map(str, place))


def cases(fixture: str, places: list[Place], *, cut: bool) -> pytest.MarkDecorator:
    """Each row of the table where it is worth trying, with each use of the session."""
    values = [
        pytest.param(
            place, row, dbsession, action,
            id=f"{place_id(place)}-{row.name}-{dbsession}-{action}",
        )
        for place in places
        for row in ROWS
        if row.cut is cut
        for dbsession in (JOINED if cut else DBSESSIONS)
        if is_worth_trying(place, row, dbsession)
        for action in ACTIONS
        if row.savable or action != "ended"
    ]  # fmt: skip
    return pytest.mark.parametrize(
        (fixture, "row", "dbsession", "action"), values, indirect=[fixture], scope="module"
    )


@cases("app", PLACES, cut=False)
def test_the_outcome_decides(
    app: tuple[OutcomeApp, str], row: Row, dbsession: str, action: str
) -> None:
    """S6: data, session and cookie agree with the table, and with each other (S7, S11)."""
    assert_as_in_the_table(*app, row, dbsession, action)


@cases("proxied_app", SERVED, cut=True)
def test_a_broken_commit_is_made_whole_or_not_at_all(
    proxied_app: tuple[OutcomeApp, str], row: Row, dbsession: str, action: str
) -> None:
    """S6, S7: never a session without the application's row or the reverse; one look tells."""
    made, _ = proxied_app
    made.events.clear()
    assert_as_in_the_table(*proxied_app, row, dbsession, action)
    dropped = row.name == "cut_before" and action == "signed_in" and dbsession == "written"
    assert any(isinstance(event, ChangeDropped) for event in made.events) is dropped
    reasons = [event.reason for event in made.events if isinstance(event, SessionEnded)]
    assert reasons == (["invalidated"] if action == "ended" else [])


def assert_as_in_the_table(
    made: OutcomeApp, veto: str, row: Row, dbsession: str, action: str
) -> None:
    """Make a request that ends like this, and look at what there is afterwards."""
    token = made.start()
    response, note = made.request(token, outcome=row.name, dbsession=dbsession, action=action)
    meant = expected(row, veto, dbsession, action)

    assert (response.status_code if response is not None else None) == row.status
    if dbsession in ("written", "elsewhere"):
        assert made.has_note(note, dbsession) is meant.data
    assert _cookie(response) == meant.cookie
    theirs = {"theirs": 1} if dbsession == "collided" else {}
    assert _is_as_meant(made, token, _new_token(response), action, **theirs) is meant.saved


@pytest.mark.parametrize("app", PLACES, indirect=True, scope="module", ids=place_id)
@pytest.mark.parametrize("fault", ["unsavable", "refused"])
def test_after_a_failed_save_nothing_holds_a_lock(app: tuple[OutcomeApp, str], fault: str) -> None:
    """S6: the transaction is aborted before anything else runs; the ending does not wait for it."""
    made, _ = app
    token = made.start()
    response, note = made.request(token, outcome=fault, dbsession="written", action="replaced")
    assert response is not None
    assert response.status_code == (500 if fault == "unsavable" else 503)
    assert not made.has_note(note, "written")
    assert _cookie(response) == "deleted"
    assert _is_as_meant(made, token, None, "ended")


def _cookie(response: Any) -> str:
    headers = response.headers.getall("Set-Cookie") if response is not None else []
    if not headers:
        return "none"
    (header,) = headers
    return "deleted" if "Max-Age=0" in header else "new"


def _new_token(response: Any) -> str | None:
    if _cookie(response) != "new":
        return None
    (header,) = response.headers.getall("Set-Cookie")
    return str(header.partition(";")[0].partition("=")[2])


def _is_as_meant(made: OutcomeApp, old: str, new: str | None, action: str, **theirs: int) -> bool:
    """Whether the view's action is in the table; it must be there whole, or not at all.

    What another request saved meanwhile must be there in any case.
    """
    before = _row(made, old)
    assert before is not None
    if action == "ended":
        return before.ended == "invalidated"
    if action == "changed":
        assert before.ended is None
        assert theirs.items() <= _values(made, before).items()
        return "after" in _values(made, before)
    if new is None:
        assert before.ended is None
        assert before.user_id is None
        assert _values(made, before) == {"before": 1} | theirs
        return False
    after = _row(made, new)
    assert after is not None
    assert before.ended == "renewed"
    assert after.user_id == ("ann" if action == "signed_in" else None)
    return _values(made, after) == {"before": 1, "after": [1]} | theirs


def _row(made: OutcomeApp, token: str) -> StoredSession | None:
    return next(iter(made.manager.store.load([digest("session", token)])), None)


def _values(made: OutcomeApp, row: StoredSession) -> dict[str, Any]:
    return made.manager.kind.codec.decode(row.data).values
