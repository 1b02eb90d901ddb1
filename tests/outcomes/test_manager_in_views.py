"""Views that use the manager: a list of devices, a change of password that ends all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request

from harness.wire import Proxy
from myapp.sessions import SessionEnded, get_manager
from tests.outcomes.app import LostRace, Note
from tests.outcomes.site import Site, attempt_of, failing, opened

NOTE = 100

Use = Callable[[Request], Any]

USES: dict[str, Use] = {
    "of_user": lambda request: get_manager(request).of_user("ann"),
    "end": lambda request: get_manager(request).end(request.environ["test.handle"]),
    "end_own": lambda request: get_manager(request).end(
        request.environ["test.handle"], user_id="ann"
    ),
    "end_all": lambda request: get_manager(request).end_all("ann"),
    "load": lambda request: get_manager(request).load(request.environ["test.token"]),
}


@pytest.fixture(params=["postgresql", "mariadb"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy that can play dead, in front of a real server."""
    with request.getfixturevalue(request.param).database() as url, Proxy(url) as proxy:
        yield proxy


@pytest.mark.parametrize("catch_all", [False, True])
def test_a_manager_without_database_is_a_503(proxy: Proxy, catch_all: bool) -> None:
    """L8: as a session without one is, in a transaction too, and whoever renders all errors."""
    limits = {"connect_timeout": "2s", "statement_timeout": "2s"}
    with opened(proxy.url, catch_all=catch_all, **limits) as site:
        token = site.start("ann")
        (info,) = site.manager.of_user("ann")
        proxy.refuse()
        proxy.drop()
        failed = []
        for name, use in USES.items():

            def view(request: Request, use: Use = use) -> None:
                request.environ |= {"test.handle": info.handle, "test.token": token}
                use(request)

            answer = site.call(view)
            headers = answer.response.headers if answer.response is not None else {}
            if answer.status != 503 or int(headers.get("Retry-After", 0)) < 1 or answer.cookies:
                failed.append((name, answer.status, type(answer.error).__name__))
        assert failed == []


def sign_in_three_times(site: Site) -> tuple[str, set[str], str]:
    """The token of one session of ann's, the handles of the other two, and its own."""
    tokens = [site.start("ann") for _ in range(3)]
    handles = []
    for token in tokens:
        stored = site.stored(token)
        assert stored is not None
        handles.append(stored.handle)
    site.events.clear()
    return tokens[0], set(handles[1:]), handles[0]


def change_password(request: Request) -> None:
    """Write, and end all other sessions; whoever looks at the list finds them gone."""
    request.dbsession.add(Note(id=NOTE))
    request.dbsession.flush()
    own = request.session.handle
    get_manager(request).end_all("ann", keep=own)
    assert [info.handle for info in get_manager(request).of_user("ann")] == [own]
    request.session.flash("changed")


def end_each(request: Request) -> None:
    """The same, one by one."""
    request.dbsession.add(Note(id=NOTE))
    request.dbsession.flush()
    own, manager = request.session.handle, get_manager(request)
    for info in manager.of_user("ann"):
        if info.handle != own:
            assert manager.end(info.handle, user_id="ann")
            assert not manager.end(info.handle, user_id="ann")
    assert [info.handle for info in manager.of_user("ann")] == [own]


def left(site: Site) -> set[str]:
    return {info.handle for info in site.manager.of_user("ann")}


def ended(site: Site) -> list[str]:
    return sorted(event.handle or "" for event in site.events if isinstance(event, SessionEnded))


@pytest.mark.parametrize("end", [change_password, end_each])
def test_others_are_ended_with_the_request_that_ends_them(database_url: str, end: Use) -> None:
    """L9, R7: after a write of its own, which on SQLite would have it wait for itself."""
    told_of: list[bool] = []
    with opened(database_url, statement_timeout="2s") as site:
        token, others, own = sign_in_three_times(site)
        publish = site.router.registry.registerHandler
        publish(lambda event: told_of.append(site.has_note(NOTE)), (SessionEnded,))

        def view(request: Request) -> None:
            end(request)
            # Another connection: nothing has happened yet.
            assert not told_of

        answer = site.call(view, token)
        assert (answer.status, answer.error) == (200, None)
        assert left(site) == {own}
        assert ended(site) == sorted(others)
        # Each is told once, and what it tells of was committed by then.
        assert told_of == [True, True]
        site.assert_free(token)


@pytest.mark.parametrize("end", [change_password, end_each])
def test_others_are_ended_after_a_redirect_that_was_raised(database_url: str, end: Use) -> None:
    """S6: the transaction is aborted; below 500 it is as with a change of the session."""

    def view(request: Request) -> None:
        end(request)
        raise HTTPFound("/")

    with opened(database_url, statement_timeout="2s") as site:
        token, others, own = sign_in_three_times(site)
        assert site.call(view, token).status == 302
        assert not site.has_note(NOTE)
        assert left(site) == {own}
        assert ended(site) == sorted(others)


@pytest.mark.parametrize("step", ["before", "tpc_vote"])
def test_a_rollback_with_a_5xx_leaves_nothing_half_done(database_url: str, step: str) -> None:
    """S6, A6: the password is not changed, and nobody is signed out."""

    def view(request: Request) -> None:
        change_password(request)
        if step == "before":
            raise KeyError
        request.tm.get().join(failing(step, KeyError()))

    with opened(database_url, catch_all=True, statement_timeout="2s") as site:
        token, others, own = sign_in_three_times(site)
        assert site.call(view, token).status == 500
        assert [type(error) for error in site.errors] == [KeyError]
        assert not site.has_note(NOTE)
        assert left(site) == {own, *others}
        assert ended(site) == []


def test_an_attempt_that_is_discarded_ends_nobody(database_url: str) -> None:
    """S11: the next one finds all of them alive; each is told of once."""
    with opened(database_url, statement_timeout="2s") as site:
        token, others, own = sign_in_three_times(site)
        found: list[set[str]] = []

        def view(request: Request) -> None:
            found.append(left(site))
            change_password(request)
            if attempt_of(request) == 0:
                request.tm.get().join(failing("tpc_vote", LostRace()))

        answer = site.call(view, token)
        assert (answer.status, answer.attempts) == (200, 2)
        assert found == [{own} | others] * 2
        assert site.has_note(NOTE)
        assert left(site) == {own}
        assert ended(site) == sorted(others)


def test_its_own_session_can_be_ended_as_one_of_many(database_url: str) -> None:
    """R2, S3: what this request changed of it is not saved: an ended session never comes back."""
    with opened(database_url, statement_timeout="2s") as site:
        token, _, _ = sign_in_three_times(site)

        def view(request: Request) -> None:
            request.dbsession.add(Note(id=NOTE))
            request.dbsession.flush()
            request.session["late"] = 1
            get_manager(request).end_all("ann")

        assert site.call(view, token).status == 200
        assert left(site) == set()
        assert site.stored(token) is None
        assert len(ended(site)) == 3
        site.assert_free(token)
