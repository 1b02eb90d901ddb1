"""Requests of one session at the same time: two connections, brought together by barriers."""

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor as Pool
from dataclasses import replace
from typing import Any

import pytest
from pyramid.request import Request

from myapp.sessions import LockTimeout, SessionError, SessionLost, make_manager
from myapp.sessions.core.events import ChangeDropped, ConflictMerged, SessionEvent, SessionStarted
from myapp.sessions.core.lifetime import to_datetime
from myapp.sessions.core.store import Ending
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import at_once
from tests.sessions.app import App, Clock, cookies_of, create_table, token_of
from tests.sessions.conftest import MakeApp


class PausingStore(SqlStore):
    """The store, except that it waits before it ends sessions: between a look and a write."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.reached, self.proceed = threading.Event(), threading.Event()

    def end(self, endings: Sequence[Ending]) -> int:
        self.reached.set()
        self.proceed.wait(timeout=20)
        return super().end(endings)


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


@pytest.mark.parametrize("how", ["out", "out_with_message"])
@pytest.mark.parametrize("other", ["renew", "in"])
def test_signing_out_ends_what_the_session_has_become(app: App, how: str, other: str) -> None:
    """R2, R3: ASVS 7.4.1, whatever else the request leaves behind; a newer cookie stays."""
    with app.manager.session() as session:
        session.sign_in("ann")
    token = session.token
    with app.manager.session(token) as late:
        len(late)
        with app.manager.session(token) as quick:
            quick.sign_in("ann") if other == "in" else quick.renew()
        late.sign_out()
        if how == "out_with_message":
            late.flash("Good-bye.")
    assert app.manager.of_user("ann") == []


@pytest.mark.parametrize("one", [True, False])
def test_revoking_finds_a_session_that_was_renewed_meanwhile(app: App, one: bool) -> None:
    """I11, R1: its handle is the same, and the list of devices said that it would end."""
    with app.manager.session() as session:
        session.sign_in("ann")
    done = threading.Event()

    def renew_often() -> None:
        token = session.token
        while not done.is_set():
            with app.manager.session(token) as mine:
                if mine.new:
                    return
                mine.renew()
            token = mine.token

    renewing = threading.Thread(target=renew_often)
    renewing.start()
    try:
        if one:
            ended = app.manager.end(session.handle, user_id="ann")
        else:
            ended = app.manager.end_all("ann") == 1
    finally:
        done.set()
        renewing.join(timeout=20)
    # It may win every race against us, and then we say so.
    assert ended is (app.manager.of_user("ann") == [])


@pytest.mark.parametrize("one", [True, False])
def test_a_sign_in_after_a_revocation_is_not_ended_by_it(
    app: App, events: list[SessionEvent], one: bool
) -> None:
    """R3, I11: the handle that was revoked leads nowhere, least of all to what begins afresh."""
    with app.manager.session() as session:
        session.sign_in("ann")
    handle = session.handle
    store = PausingStore(app.url)
    slow = make_manager(app.manager.settings, store)
    with Pool() as pool:
        with app.manager.session(session.token) as again:
            again.sign_in("ann")
            # One revocation has looked and is about to end, when another is done with it already.
            late = pool.submit(slow.end if one else slow.end_all, handle if one else "ann")
            assert store.reached.wait(timeout=20)
            assert app.manager.end(handle)
        store.proceed.set()
        assert not late.result(timeout=20)
    (info,) = app.manager.of_user("ann")
    assert app.manager.load(again.token) is not None
    started = [event for event in events if isinstance(event, SessionStarted)]
    assert info.handle == again.handle == started[-1].handle != handle
    store.close()


def test_two_proofs_of_identity_at_once_both_succeed(app: App) -> None:
    """R3, R4: by the user who is signed in; one renews the session, the other starts afresh."""
    with app.manager.session() as session:
        session.sign_in("ann")
    answers = together(app, session.token, "in", "in")
    assert [app.get("/who", token_of(answer)).text for answer in answers] == ["ann", "ann"]
    assert len({info.handle for info in app.manager.of_user("ann")}) == 2


def test_a_session_that_idled_out_is_not_revived(app: App) -> None:
    """S3, S9: by a request that took longer than the session had left, writing or reading."""
    clock = Clock()
    app.manager.kind.clock = clock
    for change in ("write", "read"):
        with app.manager.session() as session:
            session["key"] = "value"
            session.deadline = to_datetime(clock() + 10_000)
        with app.manager.session(session.token) as slow:
            assert slow["key"] == "value"
            clock.forward(10)
            if change == "write":
                slow["late"] = 1
        assert app.manager.load(session.token) is None


def test_the_marker_of_an_idle_session_lives_its_minute(app: App) -> None:
    """R3: when anybody was there last says nothing of a marker."""
    clock = Clock()
    app.manager.kind.clock = clock
    token = token_of(app.get("/set"))
    app.manager.kind.settings = replace(app.manager.settings, idle_timeout=600_000)
    clock.forward(599)
    with app.manager.session(token) as session:
        session.renew()
    clock.forward(2)
    assert cookies_of(app.get("/set", token)) == []


def test_a_lock_comes_before_a_renewal(app: App) -> None:
    """S13, R4: inside the lock the session is the stored one; no sign-in may get mixed up."""
    token = token_of(app.get("/set"))
    with (
        app.manager.session(token) as session,
        contextlib.suppress(SessionError),
    ):
        session.sign_in("bob")
        with session.lock():
            raise AssertionError("it was locked")
    (info,) = app.manager.of_user("bob")
    assert info.handle == session.handle


def test_a_lock_held_too_long_saves_nothing(app: App) -> None:
    """S13: another may have had it meanwhile."""
    clock = Clock()
    app.manager.kind.clock = clock
    token = token_of(app.get("/set"))
    with contextlib.suppress(SessionLost), app.manager.session(token) as session:
        with session.lock():
            clock.forward(30)
            session["late"] = 1
        raise AssertionError("it was saved")
    assert "late" not in app.get("/show", token).json


def test_what_the_cookie_needs_after_a_lock_is_sent(app: App) -> None:
    """S13, I5: a change that was saved within the lock still reaches the browser."""

    def view(request: Request) -> None:
        with request.session.lock() as session:
            session.remember_me(False)

    other = App(app.url, {"view": view})
    (header,) = cookies_of(other.get("/view", token_of(app.get("/set"))))
    other.close()
    assert "Max-Age" not in header
