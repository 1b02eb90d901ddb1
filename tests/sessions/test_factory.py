"""Sessions in a Pyramid application: cookies, headers, and what becomes of the row."""

import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPServerError
from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions import SessionClosed, SettingError, get_manager
from myapp.sessions.events import (
    AmbiguousCookies,
    SessionEnded,
    SessionEvent,
    SessionRenewed,
    SessionStarted,
    UnknownToken,
    UnreadableSession,
)
from myapp.sessions.store import Ending
from myapp.sessions.token import digest
from tests.sessions.app import HTTPS, Clock, cookies_of, token_of
from tests.sessions.conftest import MakeApp

READING = {
    "in": lambda request: "key" in request.session,
    "len": lambda request: len(request.session),
    "iter": lambda request: list(request.session),
    "get": lambda request: request.session.get("key"),
    "bool": lambda request: bool(request.session),
    "equal": lambda request: request.session == {},
    "user": lambda request: request.session.user_id,
    "peek": lambda request: request.session.peek_flash(),
    "pop": lambda request: request.session.pop_flash(),
    "csrf": lambda request: request.session.csrf_token,
    "new": lambda request: request.session.new,
    "created": lambda request: request.session.created,
    "deadline": lambda request: request.session.deadline,
    "status": lambda request: request.session.status,
    "get_as": lambda request: request.session.get_as("key", int),
    "copy": lambda request: request.session.copy(),
}

VIEWS = READING | {
    "set": lambda request: request.session.update(key="value", cart=[1]),
    "show": lambda request: request.session.copy(),
    "sign_in": lambda request: request.session.sign_in("ann"),
    "sign_out": lambda request: request.session.sign_out(),
    "renew": lambda request: request.session.renew(),
    "end": lambda request: request.session.invalidate(),
    "forget": lambda request: request.session.remember_me(False),
    "who": lambda request: request.session.user_id or "nobody",
}


class Heard:
    """Collects the events of an application."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []

    def __call__(self, config: Configurator) -> None:
        config.add_subscriber(self.events.append, SessionEvent)

    def kinds(self) -> list[type]:
        return [type(event) for event in self.events]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_the_cookie_has_every_protection_by_default(make_app: MakeApp) -> None:
    """C3: Secure, HttpOnly, SameSite, Path and the lifetime's Max-Age."""
    app = make_app(VIEWS, cookie_name="sid", lifetime="3h")
    (header,) = cookies_of(app.get("/set"))
    value, _, attributes = header.partition("; ")
    assert value.startswith("sid=")
    assert len(value) == 4 + 43
    assert attributes == "Path=/; Max-Age=10800; Secure; HttpOnly; SameSite=Lax"


def test_a_value_is_there_in_the_next_request(make_app: MakeApp) -> None:
    """S3: what one request sets another reads."""
    app = make_app(VIEWS)
    assert app.get("/show", token_of(app.get("/set"))).json == {"key": "value", "cart": [1]}


@pytest.mark.parametrize("path", sorted(READING))
def test_every_look_at_the_contents_varies_by_cookie(make_app: MakeApp, path: str) -> None:
    """S8: missing Vary on `in` and `len` (Flask CVE-2026-27205, Django CVE-2026-35192)."""
    app = make_app(VIEWS)
    response = app.get(f"/{path}")
    assert response.headers["Vary"] == "Cookie"
    assert "Cache-Control" not in response.headers


@pytest.mark.parametrize("path", sorted(READING))
def test_reading_makes_neither_row_nor_cookie(make_app: MakeApp, path: str) -> None:
    """S2: new and empty is nothing."""
    app = make_app(VIEWS)
    assert cookies_of(app.get(f"/{path}")) == []
    assert app.rows() == []


@pytest.mark.parametrize(
    ("before", "after"),
    [("Accept", "Accept, Cookie"), ("cookie", "cookie"), ("*", "*"), ("A, Cookie", "A, Cookie")],
)
def test_vary_keeps_what_the_view_said(make_app: MakeApp, before: str, after: str) -> None:
    """S8: Cookie is added once, and not to a star."""

    def view(request: Request) -> None:
        request.response.headers["Vary"] = before
        request.session.get("key")

    assert make_app({"view": view}).get("/view").headers["Vary"] == after


def test_a_response_with_our_cookie_is_never_stored(make_app: MakeApp) -> None:
    """S8: whatever the view said of caching."""

    def view(request: Request) -> None:
        request.response.cache_control = "public, max-age=600"
        request.session["key"] = 1

    assert make_app({"view": view}).get("/view").headers["Cache-Control"] == "no-store"


def test_a_signed_in_page_is_not_stored_unless_the_view_says_so(make_app: MakeApp) -> None:
    """S8: ASVS 14.3.2."""

    def cached(request: Request) -> None:
        request.response.cache_control = "private, max-age=60"
        request.session.get("key")

    app = make_app(VIEWS | {"cached": cached})
    token = token_of(app.get("/sign_in"))
    assert app.get("/get", token).headers["Cache-Control"] == "no-store"
    assert "private" in app.get("/cached", token).headers["Cache-Control"]


def test_an_unknown_token_is_never_adopted(make_app: MakeApp, heard: Heard) -> None:
    """L3: session fixation; the client's token opens nothing and is not taken over."""
    app = make_app(VIEWS, configure=heard)
    chosen = secrets.token_urlsafe(32)
    assert app.get("/show", chosen).json == {}
    assert heard.kinds() == [UnknownToken]
    given = token_of(app.get("/set", chosen))
    assert given != chosen
    assert [row.digest for row in app.rows()] == [digest("session", given)]


def test_ten_thousand_random_cookies_make_no_row(make_app: MakeApp) -> None:
    """S2: session-table flooding (Django 1.8.3, Laravel #21170)."""
    app = make_app(VIEWS)
    for _ in range(10_000):
        app.manager.open([secrets.token_urlsafe(32)])
    assert app.rows() == []


def test_an_expired_session_is_refused_before_it_is_swept(make_app: MakeApp) -> None:
    """L4: at the very moment of its deadline."""
    clock = Clock()
    app = make_app(VIEWS, clock=clock, lifetime="1h")
    token = token_of(app.get("/set"))
    clock.forward(3599.999)
    assert app.get("/show", token).json != {}
    clock.forward(0.001)
    assert app.get("/show", token).json == {}
    assert len(app.rows()) == 1


def test_an_idle_session_ends_though_its_deadline_is_far(make_app: MakeApp) -> None:
    """L4, S9: and one in use does not, until its deadline, which no use moves (R5)."""
    clock = Clock()
    app = make_app(VIEWS, clock=clock, lifetime="2h", idle_timeout="30m")
    idle, used = token_of(app.get("/set")), token_of(app.get("/set"))
    for _ in range(5):
        clock.forward(20 * 60)
        assert app.get("/show", used).json != {}
    assert app.get("/show", idle).json == {}
    clock.forward(20 * 60)
    assert app.get("/show", used).json == {}


def test_a_shorter_idle_timeout_counts_for_old_sessions_too(make_app: MakeApp) -> None:
    """L4: today's setting is asked as well as the row."""
    clock = Clock()
    token = token_of(make_app(VIEWS, clock=clock).get("/set"))
    clock.forward(1800)
    assert make_app(VIEWS, clock=clock, idle_timeout="30m").get("/show", token).json == {}


def test_a_prefetch_does_not_touch(make_app: MakeApp) -> None:
    """S9: a page that nobody looks at keeps no session alive."""
    clock = Clock()
    app = make_app(VIEWS, clock=clock, idle_timeout="30m")
    token = token_of(app.get("/set"))
    clock.forward(600)
    app.get("/show", token, HTTP_SEC_PURPOSE="prefetch;prerender")
    assert app.rows()[0].seen_at == clock.now - 600_000
    app.get("/show", token)
    assert app.rows()[0].seen_at == clock.now


def test_without_idle_timeout_an_anonymous_session_is_not_touched(make_app: MakeApp) -> None:
    """S9: nothing depends on when it was seen; a user's is touched for the list of devices."""
    clock = Clock()
    app = make_app(VIEWS, clock=clock)
    anonymous, anns = token_of(app.get("/set")), token_of(app.get("/sign_in"))
    clock.forward(60)
    for token in (anonymous, anns):
        app.get("/show", token)
    assert {row.user_id: row.seen_at for row in app.rows()} == {
        None: clock.now - 60_000,
        "ann": clock.now,
    }


class TestSeveralCookies:
    """L5: the outcome never depends on their order."""

    @pytest.fixture
    def app(self, make_app: MakeApp, heard: Heard) -> Any:
        return make_app(VIEWS, configure=heard)

    def both_ways(self, app: Any, path: str, *tokens: str) -> Any:
        one, other = app.get(path, *tokens), app.get(path, *reversed(tokens))
        assert (one.status, one.body, cookies_of(one)) == (
            other.status,
            other.body,
            cookies_of(other),
        )
        return one

    def test_the_one_live_session_is_taken(self, app: Any) -> None:
        """L5: beside unknown, malformed and ended ones."""
        live, ended = token_of(app.get("/set")), token_of(app.get("/set"))
        app.get("/end", ended)
        unknown = secrets.token_urlsafe(32)
        assert self.both_ways(app, "/show", live, unknown, ended, "junk").json["key"] == "value"

    def test_equal_tokens_count_once(self, app: Any) -> None:
        """L5: a browser that sends one cookie four times is no attacker."""
        token = token_of(app.get("/set"))
        assert app.get("/show", *[token] * 4).json["key"] == "value"

    def test_of_two_live_sessions_none_is_taken(self, app: Any, heard: Heard) -> None:
        """L5: partitioned and unpartitioned twins (pretix #6019); nothing can be saved either."""
        twins = token_of(app.get("/set")), token_of(app.get("/set"))
        assert self.both_ways(app, "/show", *twins).json == {}
        assert self.both_ways(app, "/set", *twins).headers.getall("Set-Cookie") == []
        assert AmbiguousCookies in heard.kinds()
        assert len(app.rows()) == 2

    def test_signing_in_gets_out_of_it(self, app: Any) -> None:
        """L5: by ending them all, with a CSRF token that the form can rely on."""
        twins = token_of(app.get("/set")), token_of(app.get("/set"))
        csrf = self.both_ways(app, "/csrf", *twins).text
        assert len(csrf) > 20
        token = token_of(app.get("/sign_in", *twins))
        (row,) = app.rows()
        assert (row.digest, row.user_id) == (digest("session", token), "ann")
        assert app.get("/who", token, *twins).text == "ann"

    def test_more_than_three_are_not_looked_up(self, app: Any) -> None:
        """L5: no honest browser sends so many."""
        live = token_of(app.get("/set"))
        others = [secrets.token_urlsafe(32) for _ in range(3)]
        assert self.both_ways(app, "/show", live, *others).json == {}
        assert app.get("/show", live, *others[:2]).json != {}


class TestUnreadableData:
    """L7: unreadable row, endless 500 (scs #269, Spring #529)."""

    @pytest.fixture
    def app(self, make_app: MakeApp, heard: Heard) -> Any:
        return make_app(VIEWS, configure=heard)

    @pytest.fixture
    def token(self, app: Any) -> str:
        token = token_of(app.get("/sign_in"))
        (row,) = app.rows()
        # A pickle, such as other session stores leave behind (ASVS 1.5.2).
        pickled = b"\x80\x04\x95\x00}\x94(\x8c\x03key\x94K\x01u."
        app.manager.store.update(replace(row, version=2, data=pickled), 1)
        return token

    def test_it_is_an_empty_signed_out_session(
        self, app: Any, token: str, heard: Heard, caplog: pytest.LogCaptureFixture
    ) -> None:
        """L7: with an event and a log line, never a 500."""
        assert app.get("/show", token).json == {}
        assert app.get("/who", token).text == "nobody"
        assert UnreadableSession in heard.kinds()
        assert "unreadable session" in caplog.text
        assert token not in caplog.text

    def test_a_change_begins_a_new_session_and_leaves_the_row(self, app: Any, token: str) -> None:
        """L7: under a new token; nothing of the old row is lost."""
        before = app.rows()
        new = token_of(app.get("/set", token))
        assert new != token
        assert [row for row in app.rows() if row.digest == digest("session", token)] == before
        assert app.get("/show", new).json["key"] == "value"

    def test_it_can_be_ended(self, app: Any, token: str) -> None:
        """L7: invalidate still ends it."""
        app.get("/end", token)
        assert app.rows() == []


def test_a_token_opens_only_the_manager_that_issued_it(make_app: MakeApp) -> None:
    """L10, I9: two kinds of session in one table, each with a cookie and settings of its own."""

    def configure(config: Configurator) -> None:
        config.add_settings({"admin_session.cookie_name": "admin", "admin_session.lifetime": "15m"})
        config.add_session("admin_session")

    def both(request: Request) -> None:
        request.session["key"] = 1
        request.admin_session["key"] = 2

    def show(request: Request) -> str:
        return f"{request.session.get('key')} {request.admin_session.get('key')}"

    app = make_app({"both": both, "show": show}, configure=configure)
    one, other = cookies_of(app.get("/both"))
    assert one.startswith("session=")
    assert other.startswith("admin=")
    assert "Max-Age=900;" in other
    tokens = [header.partition(";")[0].partition("=")[2] for header in (one, other)]
    for header, shown in [
        (f"session={tokens[0]}; admin={tokens[1]}", "1 2"),
        (f"session={tokens[1]}; admin={tokens[0]}", "None None"),
    ]:
        assert app.get("/show", HTTP_COOKIE=header).text == shown
    for name in ("session", "admin_session"):
        assert len(list(get_manager(app.router.registry, name).iterate())) == 1


def test_two_managers_share_one_store(make_app: MakeApp) -> None:
    """I9: one engine and one sweeper for one database."""

    def configure(config: Configurator) -> None:
        config.add_settings({"admin_session.cookie_name": "admin"})
        config.add_session("admin_session")

    app = make_app({}, configure=configure)
    assert get_manager(app.router.registry, "admin_session").store is app.manager.store


def test_two_managers_with_one_cookie_name_are_refused(make_app: MakeApp) -> None:
    """C3: they would overwrite each other's cookie."""
    with pytest.raises(SettingError, match=r"admin_session.cookie_name = session .*already"):
        make_app({}, configure=lambda config: config.add_session("admin_session"))


class TestEnding:
    """R2: the row ends, and the browser is told with the attributes the cookie was set with."""

    def test_the_cookie_is_deleted_as_it_was_set(self, make_app: MakeApp) -> None:
        """R2: deletion of a `__Host-` cookie without Secure (Django #28989)."""
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
        """R1: ASVS 7.2.4."""
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

    def test_nothing_of_another_user_survives(self, make_app: MakeApp) -> None:
        """R4: authority restored by an old payload (Laravel #30996)."""
        views = VIEWS | {"bob": lambda request: request.session.sign_in("bob")}
        app = make_app(views)
        ann = token_of(app.get("/sign_in", token_of(app.get("/set"))))
        assert app.get("/show", ann).json != {}
        bob = token_of(app.get("/bob", ann))
        assert app.get("/show", bob).json == {}
        assert app.get("/who", ann).text == "nobody"


class TestWhatIsSavedWhen:
    """S6: without pyramid_tm the final response decides."""

    @pytest.mark.parametrize(
        ("outcome", "saved"),
        [
            (HTTPFound("/"), True),
            (HTTPForbidden(), True),
            (HTTPServerError(), False),
            (RuntimeError("unhandled"), False),
        ],
        ids=["raised redirect", "raised 403", "raised 500", "unhandled"],
    )
    def test_saved_below_500(self, make_app: MakeApp, outcome: Exception, saved: bool) -> None:
        """S6: a flash before `raise HTTPFound` survives; a failed request leaves nothing."""

        def view(request: Request) -> None:
            request.session.flash("Saved.")
            raise outcome

        app = make_app({"view": view})
        if isinstance(outcome, RuntimeError):
            with pytest.raises(RuntimeError):
                app.get("/view")
        else:
            assert bool(cookies_of(app.get("/view"))) is saved
        assert bool(app.rows()) is saved

    @pytest.mark.parametrize("outcome", [HTTPServerError(), RuntimeError("unhandled")])
    def test_an_ending_is_carried_out_whatever_the_response(
        self, make_app: MakeApp, outcome: Exception
    ) -> None:
        """S6: whoever asked to be signed out is."""

        def view(request: Request) -> None:
            request.session.sign_out()
            raise outcome

        app = make_app(VIEWS | {"view": view})
        token = token_of(app.get("/sign_in"))
        with contextlib.suppress(RuntimeError):
            app.get("/view", token)
        assert app.rows() == []

    def test_a_value_that_cannot_be_stored_sends_no_cookie(self, make_app: MakeApp) -> None:
        """S7, S10: found at save, since it is nested: an error that names key and type."""

        def view(request: Request) -> None:
            request.session["cart"] = cart = []
            cart.append({1, 2})

        app = make_app({"view": view})
        with pytest.raises(TypeError, match=r"session\['cart'\]: a list can't be stored"):
            app.get("/view")
        assert app.rows() == []

    def test_a_session_over_its_size_is_refused(self, make_app: MakeApp) -> None:
        """S10: with the sizes named, through the exception views."""

        def view(request: Request) -> None:
            request.session["key"] = "x" * 5000

        def configure(config: Configurator) -> None:
            config.add_exception_view(
                lambda error, request: Response(str(error), status=413), context=ValueError
            )

        app = make_app({"view": view}, configure=configure, max_size="4 KiB")
        response = app.get("/view")
        assert response.status_code == 413
        assert "session.max_size is 4096" in response.text
        assert cookies_of(response) == []
        assert app.rows() == []


class TestStreamsAndSubrequests:
    """S12: where the tween is not, or the response is under way already."""

    def test_a_loaded_session_stays_readable_in_a_streamed_body(self, make_app: MakeApp) -> None:
        """S10: what was read in the view."""

        def view(request: Request) -> Response:
            request.session.get("key")

            def body() -> Iterator[bytes]:
                yield request.session["key"].encode()

            return Response(app_iter=body())

        app = make_app(VIEWS | {"view": view})
        assert app.get("/view", token_of(app.get("/set"))).text == "value"

    @pytest.mark.parametrize("touched_before", [True, False])
    def test_in_a_streamed_body_it_is_too_late(
        self, make_app: MakeApp, touched_before: bool
    ) -> None:
        """S10: for a first access, and for a change."""
        errors = []

        def view(request: Request) -> Response:
            if touched_before:
                request.session.get("key")

            def body() -> Iterator[bytes]:
                try:
                    request.session["key"] = 2
                except SessionClosed as error:
                    errors.append(str(error))
                yield b"done"

            return Response(app_iter=body())

        app = make_app({"view": view})
        assert app.get("/view").text == "done"
        assert len(errors) == 1

    @pytest.mark.parametrize("use_tweens", [True, False])
    def test_a_subrequest_saves_a_session_of_its_own(
        self, make_app: MakeApp, use_tweens: bool
    ) -> None:
        """S12: with the subrequest's cookie, on the subrequest's response."""

        def outer(request: Request) -> str:
            request.session["outer"] = 1
            inner = Request.blank("/set", environ=HTTPS)
            answer = request.invoke_subrequest(inner, use_tweens=use_tweens)
            return token_of(answer)

        app = make_app(VIEWS | {"outer": outer})
        response = app.get("/outer")
        assert app.get("/show", response.text).json["key"] == "value"
        assert app.get("/show", token_of(response)).json == {"outer": 1}

    def test_an_exception_view_can_use_the_session(self, make_app: MakeApp) -> None:
        """S12, S8: an error page with a flash message."""

        def failing(request: Request) -> None:
            raise KeyError("no such thing")

        def shown(error: KeyError, request: Request) -> Response:
            request.session.flash(str(error))
            return Response("sorry", status=404)

        app = make_app(
            VIEWS | {"failing": failing},
            configure=lambda config: config.add_exception_view(shown, context=KeyError),
        )
        response = app.get("/failing")
        assert response.headers["Vary"] == "Cookie"
        assert app.get("/peek", token_of(response)).text == "[\"'no such thing'\"]"

    @pytest.mark.parametrize("panel", ["", "session"])
    def test_the_debug_toolbar_works(self, make_app: MakeApp, panel: str) -> None:
        """S12, L1: its session panel may look, before and after; without it nothing is asked."""

        def configure(config: Configurator) -> None:
            config.add_settings({"debugtoolbar.hosts": "0.0.0.0/0"})
            config.include("pyramid_debugtoolbar")

        app = make_app(VIEWS | {"none": lambda request: "<body>ok</body>"}, configure=configure)
        local = {"REMOTE_ADDR": "127.0.0.1"}
        token = token_of(app.get("/set", HTTP_COOKIE=f"pdtb_active={panel}", **local))
        local["HTTP_COOKIE"] = f"pdtb_active={panel}; session={token}"
        assert app.get("/show", **local).json["key"] == "value"
        response = app.get("/none", **local)
        assert "_debug_toolbar" in response.text
        assert ("Vary" in response.headers) is bool(panel)


def test_a_retried_attempt_saves_nothing(make_app: MakeApp, heard: Heard) -> None:
    """S11: neither a change nor an ending of a discarded attempt is carried out."""
    attempts = []

    def view(request: Request) -> str:
        from pyramid_retry import RetryableException

        attempts.append(1)
        if len(attempts) == 1:
            request.session.invalidate()
            request.session["attempt"] = 1
            raise RetryableException
        request.session["attempt"] = 2
        return "done"

    def configure(config: Configurator) -> None:
        heard(config)
        config.include("pyramid_retry")
        config.add_exception_view(lambda error, request: Response("oops", status=200))

    app = make_app(VIEWS | {"view": view}, configure=configure)
    token = token_of(app.get("/set"))
    heard.events.clear()
    response = app.get("/view", token)
    assert (response.text, cookies_of(response)) == ("done", [])
    assert app.get("/show", token).json == {"key": "value", "cart": [1], "attempt": 2}
    assert heard.events == []


class TestRememberMe:
    """I5: whether the cookie outlives the browser."""

    def test_a_session_can_be_forgotten_with_the_browser(self, make_app: MakeApp) -> None:
        """I5: the cookie is sent again, without Max-Age."""
        app = make_app(VIEWS)
        (header,) = cookies_of(app.get("/forget", token_of(app.get("/set"))))
        assert "Max-Age" not in header

    def test_a_session_can_be_kept_where_that_is_not_the_rule(self, make_app: MakeApp) -> None:
        """I5: against session.cookie_persist = false."""

        def view(request: Request) -> None:
            request.session.remember_me(True)
            request.session["key"] = 1

        app = make_app(VIEWS | {"view": view}, cookie_persist="false")
        assert "Max-Age" not in cookies_of(app.get("/set"))[0]
        assert "Max-Age=604800" in cookies_of(app.get("/view"))[0]


def test_the_table_holds_no_token(make_app: MakeApp) -> None:
    """R6: a stolen dump, or a digest sent as a cookie, opens nothing."""
    app = make_app(VIEWS)
    token = token_of(app.get("/sign_in"))
    (row,) = app.rows()
    assert token.encode() not in repr(row).encode()
    for stolen in (row.digest.hex(), row.handle, row.digest.hex()[:43]):
        assert app.get("/who", stolen).text == "nobody"


def test_tokens_are_never_logged(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    """R6: not even with SQL's echo on; a digest by its first eight digits at most."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)  # which is echo=True
    try:
        app = make_app(VIEWS)
        unknown = secrets.token_urlsafe(32)
        app.get("/show", unknown)
        tokens = [unknown, token_of(app.get("/set"))]
        tokens.append(token_of(app.get("/sign_in", tokens[-1])))
        app.get("/end", tokens[-1])
    finally:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "UPDATE sessions" in caplog.text
    for token in tokens:
        assert token not in caplog.text
        assert digest("session", token).hex()[:9] not in caplog.text
        assert repr(digest("session", token)[:5])[2:-1] not in caplog.text


@pytest.mark.parametrize(
    ("record", "address", "agent"),
    [
        ("full", "203.0.113.77", "Lynx/2.9 \ufffd<b>" + "x" * 242),
        ("shortened", "203.0.113.0", "Lynx/2.9 \ufffd<b>" + "x" * 51),
        ("none", None, None),
    ],
)
def test_the_client_is_recorded_as_far_as_allowed(
    make_app: MakeApp, record: str, address: str | None, agent: str | None
) -> None:
    """I11: truncated, without control characters; never what X-Forwarded-For says (ASVS 4.1.3)."""
    app = make_app(VIEWS, record_client=record)
    response = app.get(
        "/sign_in",
        REMOTE_ADDR="203.0.113.77",
        HTTP_X_FORWARDED_FOR="198.51.100.1",
        HTTP_USER_AGENT="Lynx/2.9 \n<b>" + "x" * 1_000_000,
    )
    row = app.manager.store.find("session", app.rows()[0].handle)
    assert row is not None
    assert token_of(response)
    assert (row.address, row.user_agent) == (address, agent)


@pytest.mark.parametrize(
    ("host", "scheme", "warned"),
    [
        ("example.com", "http", True),
        ("example.com:8080", "http", True),
        ("example.com", "https", False),
        ("localhost:6543", "http", False),
        ("127.0.0.1", "http", False),
        ("[::1]:6543", "http", False),
    ],
)
def test_a_secure_cookie_over_plain_http_is_warned_of_once(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, host: str, scheme: str, warned: bool
) -> None:
    """C5: the classic "sessions don't stick"."""
    app = make_app(VIEWS)
    for _ in range(2):
        app.get("/set", HTTP_HOST=host, **{"wsgi.url_scheme": scheme})
    warnings = [record for record in caplog.records if "plain http" in record.getMessage()]
    assert len(warnings) == (1 if warned else 0)
    assert all("session.cookie_secure" in record.getMessage() for record in warnings)


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


class JsonSerializer:
    """A serializer of one's own, by a dotted name."""

    def dumps(self, appstruct: Any) -> bytes:
        return json.dumps(appstruct).encode()

    def loads(self, bstruct: bytes) -> Any:
        return json.loads(bstruct)


def test_a_serializer_of_ones_own(make_app: MakeApp) -> None:
    """I10: by dotted name, with Pyramid's loads and dumps."""
    app = make_app(VIEWS, serializer="tests.sessions.test_factory.JsonSerializer")
    token = token_of(app.get("/set"))
    assert json.loads(app.rows()[0].data) == [{"key": "value", "cart": [1]}]
    assert app.get("/show", token).json["cart"] == [1]


def test_a_store_of_ones_own(make_app: MakeApp) -> None:
    """I10: by dotted name, called with the settings."""
    app = make_app(VIEWS, store="myapp.sessions.memory_store.MemoryStore")
    assert app.get("/show", token_of(app.get("/set"))).json["key"] == "value"
    assert type(app.manager.store).__name__ == "MemoryStore"


@pytest.mark.parametrize("setting", ["store", "serializer"])
def test_a_dotted_name_that_leads_nowhere_is_refused(make_app: MakeApp, setting: str) -> None:
    """C2: at start-up, in one line."""
    with pytest.raises(SettingError, match=rf"session.{setting} = no.such.thing .*imported"):
        make_app({}, **{setting: "no.such.thing"})


def test_junk_in_the_cookie_header_changes_nothing(make_app: MakeApp) -> None:
    """L6: neither for us nor for what reads cookies by WebOb."""
    app = make_app(VIEWS | {"cookies": lambda request: sorted(request.cookies)})
    token = token_of(app.get("/set"))
    for header in (
        f'x="\\377"; session={token}; y=1',
        f"session={token}; " + "a" * 250_000 + "; y=1",
        "a" * 250_000 + f"; session={token}",
    ):
        assert app.get("/show", HTTP_COOKIE=header).json["key"] == "value"
        assert app.get("/cookies", HTTP_COOKIE=header).status_code == 200
