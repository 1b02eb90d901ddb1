"""Ending and renewing: what becomes of the row, the cookie and late requests."""

import secrets
from pathlib import Path

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from myapp.database import create_database_engine
from myapp.sessions import get_manager
from myapp.sessions.core.events import (
    SessionEnded,
    SessionRenewed,
    SessionStarted,
)
from myapp.sessions.core.store import Ending
from myapp.sessions.core.token import digest
from myapp.sessions.sql.model import metadata
from tests.sessions.app import Clock, cookies_of, create_table, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import READING, VIEWS, Heard


def test_an_ending_that_fails_keeps_no_other_from_being_made(
    make_app: MakeApp, tmp_path: Path
) -> None:
    """S6: each is attempted, also where the request has failed with an unhandled error."""
    elsewhere = f"sqlite:///{tmp_path / 'admin.sqlite'}"
    create_table(elsewhere)

    def configure(config: Configurator) -> None:
        config.add_settings({"admin_session.cookie_name": "admin", "admin_session.url": elsewhere})
        config.add_session("admin_session")

    def both(request: Request) -> None:
        request.session["key"] = request.admin_session["key"] = 1

    def end(request: Request) -> None:
        request.session.invalidate()
        request.admin_session.invalidate()
        engine = create_database_engine(app.url)
        metadata.drop_all(engine)
        engine.dispose()
        raise RuntimeError("unhandled")

    app = make_app({"both": both, "end": end}, configure=configure)
    header = "; ".join(cookie.partition(";")[0] for cookie in cookies_of(app.get("/both")))
    admin = get_manager(app.router.registry, "admin_session")
    assert len(list(admin.iterate())) == 1
    with pytest.raises(RuntimeError, match="unhandled"):
        app.get("/end", HTTP_COOKIE=header)
    assert list(admin.iterate()) == []
    admin.store.close()


class TestEnding:
    """R2: the row ends, and the browser is told with the attributes the cookie was set with."""

    def test_the_cookie_is_deleted_as_it_was_set(self, make_app: MakeApp) -> None:
        """R2, I3: deletion of a `__Host-` cookie without Secure (Django #28989)."""
        app = make_app(VIEWS, cookie_name="__Host-sid", cookie_partitioned="true")
        response = app.get("/end", token_of(app.get("/set")))
        assert cookies_of(response) == [
            "__Host-sid=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
            "; Secure; HttpOnly; SameSite=Lax; Partitioned"
        ]
        assert response.headers["Cache-Control"] == "no-store"
        assert app.rows() == []

    def test_what_is_set_afterwards_begins_a_new_session(
        self, make_app: MakeApp, heard: Heard
    ) -> None:
        """R2: its cookie goes out instead of the deletion."""

        def view(request: Request) -> None:
            request.session.invalidate()
            request.session["key"] = "new"

        app = make_app(VIEWS | {"view": view}, configure=heard)
        old = token_of(app.get("/set"))
        new = token_of(app.get("/view", old))
        assert app.get("/show", new).json == {"key": "new"}
        assert app.get("/show", old).json == {}
        assert heard.kinds()[:3] == [SessionStarted, SessionEnded, SessionStarted]

    def test_without_a_cookie_there_is_nothing_to_delete(self, make_app: MakeApp) -> None:
        """S2: no cookie in, no cookie out."""
        assert cookies_of(make_app(VIEWS).get("/end")) == []

    def test_a_dead_cookie_is_deleted(self, make_app: MakeApp) -> None:
        """R2: signing out twice, after an expiry say, tidies the browser up."""
        app = make_app(VIEWS)
        assert "Max-Age=0" in cookies_of(app.get("/end", secrets.token_urlsafe(32)))[0]

    def test_a_late_request_changes_nothing_and_sends_nothing(self, make_app: MakeApp) -> None:
        """R3: for a minute the ended token is known as such; then it is unknown."""
        clock = Clock()
        app = make_app(VIEWS, clock=clock)
        token = token_of(app.get("/set"))
        app.get("/sign_out", token)
        for path in ("/set", "/end", "/renew"):
            assert cookies_of(app.get(path, token)) == []
        assert app.rows() == []
        clock.forward(60)
        assert app.get("/show", token).json == {}
        assert cookies_of(app.get("/set", token)) != []

    def test_a_late_sign_in_starts_afresh(self, make_app: MakeApp) -> None:
        """R3: a sign-in clicked twice succeeds twice, with the CSRF token of the form."""
        tokens = []
        app = make_app(
            VIEWS
            | {"form": lambda request: request.session.get_csrf_token(), "csrf": READING["csrf"]}
        )
        form = app.get("/form")
        before = token_of(form)
        for _ in range(2):
            assert app.get("/csrf", before).text == form.text
            tokens.append(token_of(app.get("/sign_in", before)))
        assert [app.get("/who", token).text for token in tokens] == ["ann", "ann"]
        assert app.get("/who", before).text == "nobody"


class TestRenewing:
    """R1: a new token, the same data and deadline."""

    def test_the_old_token_is_dead_at_once(self, make_app: MakeApp, heard: Heard) -> None:
        """R1, I3: ASVS 7.2.4."""
        clock = Clock()
        app = make_app(VIEWS, clock=clock, configure=heard, lifetime="1h")
        old = token_of(app.get("/set"))
        (before,) = app.rows()
        clock.forward(600)
        (header,) = cookies_of(app.get("/renew", old))
        assert "Max-Age=3000;" in header
        (after,) = app.rows()
        assert after.digest != before.digest
        assert (after.handle, after.deadline, after.created_at, after.data) == (
            before.handle,
            before.deadline,
            before.created_at,
            before.data,
        )
        assert app.get("/show", old).json == {}
        assert heard.kinds()[:2] == [SessionStarted, SessionRenewed]

    def test_signing_in_starts_the_deadline_anew(self, make_app: MakeApp) -> None:
        """R5: from the anonymous lifetime to the full one."""
        clock = Clock()
        app = make_app(VIEWS, clock=clock, lifetime="1h", anonymous_lifetime="10m")
        anonymous = token_of(app.get("/set"))
        assert app.rows()[0].deadline == clock.now + 600_000
        clock.forward(500)
        token = token_of(app.get("/sign_in", anonymous))
        assert app.rows()[0].deadline == clock.now + 3_600_000
        assert app.get("/show", token).json["key"] == "value"


def test_a_revoked_session_is_gone_at_once(make_app: MakeApp) -> None:
    """R6, S5: and a request that was under way can't bring it back."""

    def slow(request: Request) -> None:
        request.session["late"] = True
        app.manager.store.end([Ending(digest("session", request.session.token), "revoked")])

    app = make_app(VIEWS | {"slow": slow})
    token = token_of(app.get("/set"))
    response = app.get("/slow", token)
    assert cookies_of(response) == []
    assert app.rows() == []
    assert app.get("/show", token).json == {}
