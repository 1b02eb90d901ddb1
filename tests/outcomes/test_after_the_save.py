"""A session that is changed after it was saved within the transaction: saved again, or an error.

What must never happen is that the change is lost and nobody told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import select

from myapp.sessions import SessionClosed
from tests.outcomes.app import Note
from tests.outcomes.site import TM_TWEEN, Answer, Resource, Site, opened, outer_tween

_LATE = "test.late"
_LATEST = "test.latest"
_REFUSED = "test.refused"

Change = Callable[[Any], Any]

CHANGES: dict[str, Change] = {
    "set": lambda session: session.update(late=1),
    "flash": lambda session: session.flash("late"),
    "csrf": lambda session: session.update(late=session.new_csrf_token()),
    "renew": lambda session: session.renew(),
    "sign_in": lambda session: session.sign_in("bob"),
    "sign_out": lambda session: session.sign_out(),
}


def late_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """A tween over pyramid_tm's and under that of the sessions."""

    def late_tween(request: Request) -> Response:
        response = handler(request)
        if request.environ.get(_LATE) == "tween":
            change_late(request)
        return response

    return late_tween


def add_late_tween(config: Configurator) -> None:
    name = f"{__name__}.late_tween_factory"
    config.add_tween(name, under=outer_tween(config), over=TM_TWEEN)


def change_late(request: Request) -> None:
    """Change the session now, and note down whether that was refused."""
    assert not request.environ[_REFUSED]
    request.environ[_REFUSED].append(None)
    try:
        request.environ[_LATEST](request.session)
    except SessionClosed as error:
        request.environ[_REFUSED][0] = error


def in_a_late_hook(request: Request) -> None:
    add = request.tm.get().addBeforeCommitHook
    # The last is registered when all hooks of tweens are there already.
    add(add, (add, (change_late, (request,))))


def in_a_step(step: str) -> Callable[[Request], None]:
    def join(request: Request) -> None:
        resource = Resource({step: lambda: change_late(request)}, sort_key="~last")
        request.tm.get().join(resource)

    return join


PLACES: dict[str, Callable[[Request], Any]] = {
    "tween": lambda request: None,
    "late_hook": in_a_late_hook,
    "after_commit": lambda request: request.tm.get().addAfterCommitHook(
        lambda succeeded: change_late(request)
    ),
    "tpc_begin": in_a_step("tpc_begin"),
    "tpc_finish": in_a_step("tpc_finish"),
}


def has_happened(site: Site, change: str, token: str, answer: Answer) -> bool:
    """Whether a change is in the database, and the client has what it needs for it."""
    if change == "sign_out":
        return site.stored(token) is None and "Max-Age=0" in str(answer.cookies)
    stored = site.stored(answer.token(token))
    assert stored is not None
    if change == "sign_in":
        return stored.user_id == "bob"
    assert stored["view"] == 1
    if change == "renew":
        return answer.token(token) != token and site.stored(token) is None
    if change == "csrf":
        return "late" in stored and stored["late"] == stored.csrf_token
    return "late" in stored or "late" in stored.peek_flash()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("joined", [True, False], ids=["joined", "apart"])
def test_a_late_change_is_saved_or_refused_and_never_lost(
    database_url: str, place: str, joined: bool
) -> None:
    """S10: at the line that changes, wherever between the commit and the response that is."""
    lost = []
    with opened(database_url, configure=add_late_tween) as site:
        for name, change in CHANGES.items():
            token = site.start("ann")
            refused: list[SessionClosed | None] = []

            def view(
                request: Request,
                change: Change = change,
                refused: list[SessionClosed | None] = refused,
            ) -> None:
                known = {_LATE: place, _LATEST: change, _REFUSED: refused}
                request.environ.update(known)
                if joined:
                    request.dbsession.execute(select(Note)).all()
                request.session["view"] = 1
                PLACES[place](request)

            answer = site.call(view, token)
            assert (answer.status, len(refused)) == (200, 1)
            if (refused[0] is None) != has_happened(site, name, token, answer):
                lost.append(name)
    assert lost == []


def test_what_was_saved_within_the_transaction_stays_readable(database_url: str) -> None:
    """S10: a tween that only looks, to log who it was, is neither refused nor told of the past."""
    seen: list[Any] = []

    def look(session: Any) -> None:
        seen.append((session["view"], session.user_id, session.peek_flash(), dict(session)))

    with opened(database_url, configure=add_late_tween) as site:

        def view(request: Request) -> None:
            request.environ.update({_LATE: "tween", _LATEST: look, _REFUSED: []})
            request.dbsession.execute(select(Note)).all()
            request.session["view"] = 1
            request.session.flash("hello")

        site.call(view, site.start("ann"))
    assert seen == [(1, "ann", ["hello"], {"before": 1, "view": 1})]


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "apart"])
def test_a_change_is_dropped_once(database_url: str, joined: bool) -> None:
    """S5: one event, though the response comes after the commit and might try again."""
    with opened(database_url) as site:
        token = site.start()
        site.events.clear()

        def view(request: Request) -> None:
            request.session["view"] = 1
            assert site.manager.end(request.session.handle)
            if joined:
                request.dbsession.execute(select(Note)).all()

        answer = site.call(view, token)
        assert (answer.status, answer.cookies) == (200, [])
        assert site.kinds() == ["SessionEnded revoked", "ChangeDropped"]
