"""Requests of one session at the same time: two connections, brought together by barriers."""

import contextlib
import threading
from typing import Any

import pytest
from pyramid.request import Request

from myapp.sessions import LockTimeout, SessionLost
from myapp.sessions.events import ChangeDropped, ConflictMerged, SessionEvent
from myapp.sessions.store_contract import at_once
from tests.sessions.app import App, cookies_of, create_table, token_of
from tests.sessions.conftest import MakeApp


class Meeting:
    """Views that wait for each other once each has loaded the session."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)

    def of(self, change: Any) -> Any:
        def view(request: Request) -> Any:
            len(request.session)
            self.barrier.wait(timeout=20)
            return change(request)

        return view


def count(request: Request) -> None:
    request.session["count"] = request.session.get("count", 0) + 1


def count_locked(request: Request) -> None:
    with request.session.lock() as session:
        session["count"] = session.get("count", 0) + 1


@pytest.fixture
def events() -> list[SessionEvent]:
    return []


@pytest.fixture
def app(database_url: str, make_app: MakeApp, events: list[SessionEvent]) -> App:
    create_table(database_url)
    meeting = Meeting()
    changes: dict[str, Any] = {
        "one": lambda request: request.session.update(one=1),
        "two": lambda request: request.session.update(two=2),
        "nest": lambda request: request.session["cart"].append(3),
        "remove": lambda request: request.session.pop("key"),
        "clear": lambda request: request.session.clear(),
        "push": lambda request: request.session.flash("new"),
        "pop": lambda request: request.session.pop_flash(),
        "renew": lambda request: request.session.renew(),
        "out": lambda request: request.session.sign_out(),
        "in": lambda request: request.session.sign_in("ann"),
        "key": lambda request: request.session.update(key=request.params["value"]),
    }
    views = {f"meet_{name}": meeting.of(change) for name, change in changes.items()}
    plain = {
        "set": lambda request: request.session.update(key="value", cart=[1]),
        "show": lambda request: request.session.copy(),
        "flash": lambda request: request.session.flash("old"),
        "peek": lambda request: request.session.peek_flash(),
        "who": lambda request: request.session.user_id or "nobody",
        "count_locked": count_locked,
    }
    return make_app(
        views | plain,
        url=database_url,
        configure=lambda config: config.add_subscriber(events.append, SessionEvent),
    )


def together(app: App, token: str, *paths: str) -> list[Any]:
    """Requests at the same time, each of which loads before any of them saves."""
    answers = at_once(*[lambda path=path: app.get(f"/meet_{path}", token) for path in paths])
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    return answers


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        (("one", "two"), {"key": "value", "cart": [1], "one": 1, "two": 2}),
        (("one", "nest"), {"key": "value", "cart": [1, 3], "one": 1}),
        (("one", "remove"), {"cart": [1], "one": 1}),
        (("one", "clear"), {"one": 1}),
        (("nest", "remove"), {"cart": [1, 3]}),
    ],
)
def test_changes_of_different_keys_both_survive(
    app: App, events: list[SessionEvent], paths: tuple[str, str], left: dict[str, Any]
) -> None:
    """S4: a set, a nested change, a removal and a clear; the application hears of the merge."""
    token = token_of(app.get("/set"))
    together(app, token, *paths)
    assert app.get("/show", token).json == left
    assert [type(event) for event in events].count(ConflictMerged) == 1


def test_on_the_same_key_one_wins(app: App) -> None:
    """S4: whole, and without an error."""
    token = token_of(app.get("/set"))
    answers = together(app, token, "key?value=a", "key?value=b")
    assert [answer.status_code for answer in answers] == [200, 200]
    assert app.get("/show", token).json["key"] in "ab"


def test_no_flash_message_vanishes_unseen(app: App) -> None:
    """S4: popping removes only what was returned."""
    token = token_of(app.get("/flash"))
    popped = together(app, token, "push", "pop")[1]
    assert popped.text == "['old']"
    assert app.get("/peek", token).text == "['new']"


@pytest.mark.parametrize("change", ["one", "remove", "push", "renew"])
def test_a_late_save_never_revives_a_session(
    app: App, events: list[SessionEvent], change: str
) -> None:
    """S5: late save resurrects a session (CVE-2025-46336; scs, express-session #632)."""
    token = token_of(app.get("/set"))
    late, out = together(app, token, change, "out")
    assert app.get("/show", token).json == {}
    assert app.rows() == []
    assert "Max-Age=0" in cookies_of(out)[0]
    # A renewal may have come first; then signing out ended what it had become.
    assert cookies_of(late) == [] or change == "renew"


def test_a_rotation_is_not_undone_by_a_parallel_save(app: App, events: list[SessionEvent]) -> None:
    """R1: rotation undone by a parallel save (Jetty #2671)."""
    token = token_of(app.get("/set"))
    renewed, saved = together(app, token, "renew", "one")
    assert cookies_of(saved) == []
    assert app.get("/show", token).json == {}
    new = app.get("/show", token_of(renewed)).json
    # Either the save came first, and the renewal took it along; or it was too late, and said so.
    assert ("one" in new) != any(isinstance(event, ChangeDropped) for event in events)


def test_two_sign_ins_at_once_both_succeed(app: App) -> None:
    """R3, R4: a sign-in clicked twice; the token from before opens nothing any more."""
    token = token_of(app.get("/set"))
    answers = together(app, token, "in", "in")
    assert [app.get("/who", token_of(answer)).text for answer in answers] == ["ann", "ann"]
    assert app.get("/who", token).text == "nobody"


def test_a_counter_under_the_lock_misses_nothing(app: App) -> None:
    """S13: where merging is not enough."""
    token = token_of(app.get("/set"))

    def counting() -> None:
        for _ in range(10):
            assert app.get("/count_locked", token).status_code == 200

    assert at_once(*[counting] * 4) == [None] * 4
    assert app.get("/show", token).json["count"] == 40


def test_a_lock_that_is_not_had_names_the_session(app: App) -> None:
    """S13: after its time, by the handle."""
    token = token_of(app.get("/set"))
    with (
        app.manager.session(token) as holder,
        holder.lock(),
        app.manager.session(token) as waiting,
    ):
        message = f"session {holder.handle} was locked"
        with pytest.raises(LockTimeout, match=message), waiting.lock(0.05):
            raise AssertionError("two held it")
    with app.manager.session(token) as next_one, next_one.lock(1):
        pass


def test_inside_the_lock_the_session_is_fresh_and_saved_before_release(app: App) -> None:
    """S13: with what this request had changed before, and what others have stored."""
    token = token_of(app.get("/set"))
    with app.manager.session(token) as session:
        session["mine"] = 1
        with app.manager.session(token) as other:
            other["theirs"] = 2
        with session.lock():
            assert session == {"key": "value", "cart": [1], "mine": 1, "theirs": 2}
            session["locked"] = 3
        assert app.get("/show", token).json["locked"] == 3


def test_an_ended_session_can_not_be_locked(app: App) -> None:
    """S13: it says that it is gone rather than to wait."""
    token = token_of(app.get("/set"))
    with app.manager.session(token) as session:
        assert len(session) == 2
        with app.manager.session(token) as other:
            other.invalidate()
        with pytest.raises(SessionLost), session.lock(5):
            raise AssertionError("it was gone")


def test_an_error_in_the_block_releases_the_lock(app: App) -> None:
    """S13: and stores nothing of it."""
    token = token_of(app.get("/set"))
    with (
        contextlib.suppress(KeyError),
        app.manager.session(token) as session,
        session.lock(),
    ):
        session["half"] = 1
        raise KeyError
    with app.manager.session(token) as other, other.lock(0.05):
        assert "half" not in other
