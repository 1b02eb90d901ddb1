"""Two kinds of session in one request: their rows are locked in one order, whoever comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import event, select

from myapp.sessions import get_manager
from myapp.sessions.testing.contract import at_once
from tests.conftest import DATABASES, STRICT_MARIADB
from tests.outcomes.app import Note
from tests.outcomes.site import Answer, Site, opened

pytestmark = pytest.mark.parametrize("database_url", [*DATABASES, STRICT_MARIADB], indirect=True)

KINDS = ("session", "admin_session")

CHANGES: dict[str, Callable[[Any], Any]] = {
    "change": lambda session: session.update({f"by_{threading.get_ident()}": 1}),
    "sign_out": lambda session: session.sign_out(),
    "renew": lambda session: session.renew(),
}


def add_admin(config: Configurator) -> None:
    config.registry.settings["admin_session.cookie_name"] = "admin_session"
    config.add_session("admin_session")


class Crossing:
    """Two requests that touch their sessions in opposite orders, and write at the same time."""

    def __init__(self, site: Site, change: str) -> None:
        self.site, self.change = site, CHANGES[change]
        self.ready = threading.Barrier(2)
        self.written = threading.Barrier(2)
        self.waited = threading.local()
        event.listen(site.engine, "after_cursor_execute", self._after_statement)

    def run(self, tokens: dict[str, str]) -> list[Any]:
        return at_once(
            lambda: self._request(tokens, KINDS), lambda: self._request(tokens, KINDS[::-1])
        )

    def _request(self, tokens: dict[str, str], order: tuple[str, ...]) -> Answer:
        def view(request: Request) -> None:
            request.dbsession.execute(select(Note.id)).all()
            for name in order:
                self.change(getattr(request, name))
            self.ready.wait(timeout=10)

        return self.site.call(view, **tokens)

    def _after_statement(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        """After its first write each waits for the other, for as long as that may be still to come.

        Where both want the same row first, the other never gets there: then it is waited in vain.
        """
        writes = statement.lstrip().upper().startswith(("UPDATE", "DELETE", "INSERT", "WITH"))
        if writes and not getattr(self.waited, "once", False):
            self.waited.once = True
            with suppress(threading.BrokenBarrierError):
                self.written.wait(timeout=0.3)


@pytest.mark.parametrize("change", CHANGES)
def test_two_kinds_of_session_do_not_wait_for_each_other_crosswise(
    database_url: str, change: str
) -> None:
    """S6, I9: without a retry that could make up for a deadlock, both requests succeed."""
    with opened(database_url, retry=False, configure=add_admin) as site:
        tokens = {}
        for name in KINDS:
            with get_manager(site.router.registry, name).session() as session:
                session.sign_in("ann")
            tokens[name] = session.token
        answers = Crossing(site, change).run(tokens)
        assert [getattr(answer, "status", answer) for answer in answers] == [200, 200]
        for name in KINDS:
            manager = get_manager(site.router.registry, name)
            stored = manager.load(tokens[name])
            if change == "change":
                assert stored is not None
                assert len(stored) == 2
            else:
                assert stored is None
                assert len(manager.of_user("ann")) == (1 if change == "renew" else 0)
        site.assert_free()


@pytest.mark.parametrize("first", KINDS)
def test_if_one_kind_cannot_be_saved_neither_is(database_url: str, first: str) -> None:
    """S6: they are saved in one transaction, with the application's data."""
    second = KINDS[1 - KINDS.index(first)]
    with opened(database_url, configure=add_admin) as site:

        def view(request: Request) -> None:
            request.dbsession.add(Note(id=100))
            getattr(request, first)["fine"] = 1
            getattr(request, second)["cart"] = cart = []
            cart.append({1, 2})

        assert site.call(view).status != 200
        assert not site.has_note(100)
        for name in KINDS:
            manager = get_manager(site.router.registry, name)
            assert list(manager.store.iterate(name)) == []
