"""What subscribers hear, and what can be done outside of a request."""

import contextlib
import secrets

import pytest
from msgspec.structs import replace

from myapp.sessions.core.events import (
    SessionEnded,
    SessionStarted,
)
from tests.sessions.app import token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS, Heard


class TestEvents:
    """I12: what happens, as Pyramid subscribers."""

    def test_they_tell_who_and_when(self, make_app: MakeApp, heard: Heard) -> None:
        """I12: with the request, the handle and the user."""
        app = make_app(VIEWS, configure=heard)
        token = token_of(app.get("/sign_in"))
        app.get("/sign_out", token)
        started, ended = heard.events
        assert isinstance(started, SessionStarted)
        assert isinstance(ended, SessionEnded)
        assert (started.user_id, ended.user_id, ended.reason) == ("ann", "ann", "signed_out")
        assert started.handle == ended.handle
        assert started.request.path == "/sign_in"

    def test_a_failing_subscriber_undoes_nothing(
        self, make_app: MakeApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        """I12: what it is told of is committed already."""

        def fail(event: SessionStarted) -> None:
            raise RuntimeError("no mail server")

        app = make_app(VIEWS, configure=lambda config: config.add_subscriber(fail, SessionStarted))
        assert app.get("/show", token_of(app.get("/set"))).json["key"] == "value"
        assert "no mail server" in caplog.text


class TestOutsideOfARequest:
    """I13: scripts, jobs, websockets."""

    def test_a_session_is_loaded_by_its_token(self, make_app: MakeApp) -> None:
        """I13: to read; a token that opens nothing is None."""
        app = make_app(VIEWS)
        loaded = app.manager.load(token_of(app.get("/set")))
        assert loaded == {"key": "value", "cart": [1]}
        assert app.manager.load(secrets.token_urlsafe(32)) is None
        assert app.manager.load("junk") is None

    def test_a_session_is_changed_in_a_block(self, make_app: MakeApp) -> None:
        """I13: saved at its end, and not after an error."""
        app = make_app(VIEWS)
        token = token_of(app.get("/set"))
        with app.manager.session(token) as session:
            session["job"] = "done"
        with contextlib.suppress(RuntimeError), app.manager.session(token) as session:
            session["job"] = "failed"
            raise RuntimeError
        assert app.get("/show", token).json["job"] == "done"

    def test_sessions_are_listed_and_ended_by_their_handle(
        self, make_app: MakeApp, heard: Heard
    ) -> None:
        """I11: another user's handle ends nothing (ASVS 7.5.2)."""
        app = make_app(VIEWS, configure=heard)
        tokens = [token_of(app.get("/sign_in")) for _ in range(3)]
        infos = app.manager.of_user("ann")
        assert [info.user_id for info in infos] == ["ann"] * 3
        first = infos[0].handle
        assert not app.manager.end(first, user_id="bob")
        assert app.manager.end(first, user_id="ann")
        assert not app.manager.end(first)
        kept = infos[1].handle
        assert app.manager.end_all("ann", keep=kept) == 1
        assert [info.handle for info in app.manager.of_user("ann")] == [kept]
        assert [app.get("/who", token).text for token in tokens].count("ann") == 1
        reasons = [event.reason for event in heard.events if isinstance(event, SessionEnded)]
        assert reasons == ["revoked", "revoked"]

    def test_iterating_passes_over_a_bad_row(self, make_app: MakeApp) -> None:
        """I8: it never stops there."""
        app = make_app(VIEWS)
        for _ in range(3):
            app.get("/set")
        bad = app.rows()[1]
        app.manager.store.update(replace(bad, version=2, data=b"\xc1"), 1)
        handles = {info.handle for info, values in app.manager.iterate() if values["cart"] == [1]}
        assert handles == {row.handle for row in app.rows()} - {bad.handle}
