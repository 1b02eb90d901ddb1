"""Which stored session a request gets, and when it gets none."""

import secrets
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from pyramid.config import Configurator
from pyramid.request import Request

from myapp.sessions.core.events import (
    AmbiguousCookies,
    UnknownToken,
    UnreadableSession,
)
from myapp.sessions.core.loading import MAX_TOKENS
from myapp.sessions.core.token import digest
from tests.sessions.app import Clock, View, cookies_of, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS, Heard


def test_an_unknown_token_is_never_adopted(make_app: MakeApp, heard: Heard) -> None:
    """L3: session fixation; the client's token opens nothing and is not taken over."""
    app = make_app(VIEWS, configure=heard)
    chosen = secrets.token_urlsafe(32)
    assert app.get("/show", chosen).json == {}
    assert heard.kinds() == [UnknownToken]
    given = token_of(app.get("/set", chosen))
    assert given != chosen
    assert [row.digest for row in app.rows()] == [digest("session", given)]


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


@pytest.mark.parametrize("path", ["/show", "/assign", "/append"])
def test_what_idles_out_during_a_request_is_not_revived(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """S3, L4: another request may have been refused meanwhile, or have signed out."""
    clock = Clock()
    caplog.set_level("DEBUG")

    def slowly(view: View) -> View:
        def slow(request: Request) -> Any:
            answer = view(request)
            clock.forward(2)
            return answer

        return slow

    views: dict[str, View] = {
        "fill": lambda request: request.session.update(key="value", cart=[1]),
        "show": lambda request: request.session.copy(),
        "assign": lambda request: request.session.__setitem__("key", "other"),
        "append": lambda request: request.session["cart"].append(2),
    }
    views = {name: slowly(view) for name, view in views.items()}
    app = make_app(views, clock=clock, idle_timeout="30m")
    token = token_of(app.get("/fill"))
    (row,) = app.rows()
    clock.forward(1799)
    assert cookies_of(app.get(path, token)) == []
    assert app.rows() == [row]
    assert app.get("/show", token).json == {}
    assert ("was not touched" in caplog.text) == (path == "/show")


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
        views = {"end_and_set": lambda r: r.session.invalidate() or r.session.update(key=1)}
        return make_app(VIEWS | views, configure=heard)

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

    def test_one_live_among_32_is_taken_by_one_look_up(
        self, app: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """L5: and two live ones among them are none, which signing in ends both."""
        one, two = token_of(app.get("/set")), token_of(app.get("/set"))
        unknown = [secrets.token_urlsafe(32) for _ in range(MAX_TOKENS - 1)]
        asked: list[int] = []
        load = app.manager.store.load

        def counting(digests: Sequence[bytes]) -> Any:
            asked.append(len(digests))
            return load(digests)

        monkeypatch.setattr(app.manager.store, "load", counting)
        assert self.both_ways(app, "/show", one, *unknown, *unknown).json["key"] == "value"
        assert asked == [MAX_TOKENS] * 2
        assert self.both_ways(app, "/show", one, *unknown[1:], two).json == {}
        assert len(app.rows()) == 2
        token = token_of(app.get("/sign_in", one, *unknown[1:], two))
        assert [row.digest for row in app.rows()] == [digest("session", token)]

    def test_of_more_none_is_looked_up_and_nothing_saved(self, app: Any, heard: Heard) -> None:
        """L5: no honest browser sends so many, and whoever does fills no table."""
        live = token_of(app.get("/set"))
        before = app.rows()
        crowd = [live, *(secrets.token_urlsafe(32) for _ in range(MAX_TOKENS))]
        for path in ("/set", "/show", "/csrf", "/end", "/sign_out", "/renew", "/end_and_set"):
            response = self.both_ways(app, path, *crowd)
            assert (response.status_code, cookies_of(response)) == (200, [])
        assert heard.kinds()[-1] is AmbiguousCookies
        assert UnknownToken not in heard.kinds()
        assert app.rows() == before
        assert app.get("/show", live).json["key"] == "value"

    def test_nobody_signs_in_with_more(self, app: Any) -> None:
        """L5: the answer says what to do, instead of a sign-in that nothing would be known of."""
        crowd = [secrets.token_urlsafe(32) for _ in range(MAX_TOKENS + 1)]
        response = app.get("/sign_in", *crowd)
        assert response.status_code == 400
        assert "cookies for this site" in response.text
        assert cookies_of(response) == app.rows() == []


class TestOneHeader:
    """The Cookie header is in the environ once, and counts as it is when somebody looks."""

    MENDED = 'x="\\377"; '

    @pytest.mark.parametrize("neighbour", ["", MENDED])
    def test_another_request_has_cookies_of_its_own(
        self, make_app: MakeApp, neighbour: str
    ) -> None:
        """L3: `request.copy()`, `Request.blank(environ=…)` and a changed header open what they
        bear, whatever the first request bore.
        """

        def of_others(request: Request) -> Any:
            name, other = "session", request.params.get("other", "")
            copied, removed, blank = request.copy(), request.copy(), Request.blank("/")
            blank.environ.update(request.environ | {"HTTP_COOKIE": f"{name}={other}"})
            copied.headers["Cookie"] = f'{name}={other}; y="\\377"'
            del removed.environ["HTTP_COOKIE"]
            seen = []
            for each in (copied, removed, blank):
                each.registry = request.registry
                seen.append(each.session.get("key"))
            return {"seen": seen}

        views = {"others": of_others, "fill": lambda r: r.session.update(key=r.params["key"])}
        app = make_app(VIEWS | views)
        mine, theirs = (token_of(app.get(f"/fill?key={key}")) for key in ("mine", "theirs"))
        header = f"{neighbour}session={mine}"
        found = app.get(f"/others?other={theirs}", HTTP_COOKIE=header).json
        assert found == {"seen": ["theirs", None, "theirs"]}
        assert app.get("/others?other=", HTTP_COOKIE=header).json == {"seen": [None] * 3}

    def test_what_hides_the_header_hides_the_tokens(self, make_app: MakeApp) -> None:
        """R6: a logger that redacts HTTP_COOKIE prints no copy of it."""

        def environ(request: Request) -> str:
            request.session.get("key")
            return repr({k: v for k, v in request.environ.items() if k != "HTTP_COOKIE"})

        app = make_app(VIEWS | {"environ": environ})
        token = token_of(app.get("/set"))
        for front in ("", self.MENDED, "x" * 20_000 + "; "):
            assert token not in app.get("/environ", HTTP_COOKIE=f"{front}session={token}").text

    def test_each_managers_cookie_stays(self, make_app: MakeApp) -> None:
        """L6, I9: the shield knows the names of all, also behind 16 KiB of others'."""

        def configure(config: Configurator) -> None:
            config.registry.settings["admin_session.cookie_name"] = "admin"
            config.add_session("admin_session")

        views = {"fill": lambda request: request.admin_session.update(key=1)}
        views["look"] = lambda request: request.admin_session.get("key")
        app = make_app(views, configure=configure)
        name, _, token = cookies_of(app.get("/fill"))[0].partition(";")[0].partition("=")
        header = "x=" + "1" * 20_000 + f", {name}={token}"
        assert app.get("/look", HTTP_COOKIE=header).text == "1"


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
