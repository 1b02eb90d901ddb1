"""A test suite for your own store: it tests the contract in `myapp.sessions.core.store`.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            return MyStore(…)

Each test gets a store without sessions. It runs under pytest, which it does not import.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from myapp.sessions.core.store import Ending, SessionStore, StoredSession

NOW: Final = 1_800_000_000_000
DAY: Final = 86_400_000
RACES: Final = 20
"""How often each race is run; in the first one, connections may still open one after another."""
MANY: Final = 1050
"""Rows that no store is expected to read in one batch."""


def a_session(**fields: Any) -> StoredSession:
    """A live session, like a manager makes one; any field can be set otherwise."""
    made = StoredSession(
        digest=secrets.token_bytes(32),
        manager="session",
        handle=secrets.token_urlsafe(16),
        version=1,
        data=b"\x91\x80",
        created_at=NOW,
        seen_at=NOW,
        deadline=NOW + DAY,
        expires_at=NOW + DAY,
    )
    return replace(made, **fields)


def marking(session: StoredSession, reason: str = "signed_out") -> Ending:
    """An ending that leaves a marker for a minute."""
    return Ending(session.digest, reason, NOW + 60_000, b"rest")


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """Run tasks in threads of their own, started together; their results or exceptions."""
    barrier = threading.Barrier(len(tasks))
    results: list[Any] = [None] * len(tasks)

    def run(index: int) -> None:
        barrier.wait(timeout=10)
        try:
            results[index] = tasks[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return results


def refused(task: Callable[[], Any]) -> bool:
    """Whether a task raises an error of any class."""
    try:
        task()
    except Exception:
        return True
    return False


class StoreContract:
    """Derive from it, and give it a fixture named `store`."""

    def only(self, store: SessionStore, digest: bytes) -> StoredSession:
        """The one row of a digest."""
        rows = store.load([digest])
        assert len(rows) == 1
        return rows[0]

    def test_an_inserted_session_is_loaded_as_it_was(self, store: SessionStore) -> None:
        """I10: every field that a request needs comes back, unchanged in value and type."""
        new = a_session(
            user_id="Ünï",
            signed_in_at=NOW + 7,
            generation=b"\x00\xff" * 16,
            data=bytes(range(256)),
        )
        store.insert(new)
        assert self.only(store, new.digest) == new

    def test_data_of_a_megabyte_come_back(self, store: SessionStore) -> None:
        """I10: the store has no limit of its own below session.max_size's greatest value."""
        new = a_session(data=secrets.token_bytes(1024 * 1024))
        store.insert(new)
        assert self.only(store, new.digest).data == new.data

    def test_what_is_not_stored_is_left_out(self, store: SessionStore) -> None:
        """L3: an unknown digest is nothing."""
        new = a_session()
        store.insert(new)
        unknown = secrets.token_bytes(32)
        assert [row.digest for row in store.load([unknown, new.digest])] == [new.digest]
        assert list(store.load([unknown])) == []
        assert list(store.load([])) == []

    def test_digests_that_differ_in_case_alone_are_two(self, store: SessionStore) -> None:
        """L3: no collation may make two digests one."""
        lower, upper = a_session(digest=b"a" * 32), a_session(digest=b"A" * 32)
        store.insert(lower)
        assert list(store.load([upper.digest])) == []
        store.insert(upper)
        assert len(store.load([lower.digest, upper.digest])) == 2

    def test_moments_beyond_2038_are_kept(self, store: SessionStore) -> None:
        """L4: a moment is a number of milliseconds, however large."""
        far = 4_102_444_800_000
        new = a_session(deadline=far, expires_at=far)
        store.insert(new)
        assert self.only(store, new.digest).deadline == far

    def test_an_update_at_the_right_version_is_made(self, store: SessionStore) -> None:
        """S3: a live session at the version that was read is replaced."""
        new = a_session()
        store.insert(new)
        for moved in (-5, 5):
            changed = replace(
                new,
                version=new.version + 1,
                data=b"new",
                seen_at=new.seen_at + 5,
                expires_at=new.expires_at + moved,
                deadline=new.deadline + 2 * moved,
            )
            assert store.update(changed, new.version) is True
            assert self.only(store, new.digest) == changed
            new = changed

    def test_an_update_replaces_nothing_else(self, store: SessionStore) -> None:
        """R4, S3: whose session it is changes by no save."""
        new = a_session(user_id="ann", signed_in_at=NOW, generation=b"old", address="192.0.2.1")
        store.insert(new)
        other = a_session(
            digest=new.digest,
            manager="admin_session",
            version=2,
            data=b"new",
            created_at=NOW + 1,
            user_id="eve",
            signed_in_at=NOW + 1,
            generation=b"new",
            address="192.0.2.2",
            user_agent="Lynx",
        )
        assert store.update(other, 1) is True
        assert new.handle is not None
        assert store.find("session", new.handle) == replace(new, version=2, data=b"new")
        assert list(store.iterate("admin_session")) == []

    def test_an_update_at_another_version_changes_nothing(self, store: SessionStore) -> None:
        """S3: a save that read an older version is told so."""
        new = a_session(version=2)
        store.insert(new)
        assert store.update(replace(new, version=2, data=b"late"), 1) is False
        assert self.only(store, new.digest) == new

    def test_an_update_never_inserts(self, store: SessionStore) -> None:
        """S3: late save resurrects a session (CVE-2025-46336)."""
        gone = a_session()
        store.insert(gone)
        store.end([Ending(gone.digest, "revoked")])
        assert store.update(replace(gone, version=2), 1) is False
        assert list(store.load([gone.digest])) == []

    def test_an_update_never_revives_a_marker(self, store: SessionStore) -> None:
        """S3: an ended session never comes back, no matter which version a late save read."""
        new = a_session()
        store.insert(new)
        store.end([marking(new)])
        for version in (1, 2):
            assert store.update(replace(new, version=version + 1), version) is False
        assert self.only(store, new.digest).ended == "signed_out"

    def test_of_two_updates_at_once_one_is_made(self, store: SessionStore) -> None:
        """S3: compare-and-set, on two connections."""
        new = a_session()
        store.insert(new)
        for version in range(1, RACES + 1):
            changed = [replace(new, version=version + 1, data=mark) for mark in (b"one", b"two")]
            results = at_once(*[partial(store.update, each, version) for each in changed])
            assert sorted(map(str, results)) == ["False", "True"]
            assert self.only(store, new.digest) == changed[results.index(True)]

    def test_of_an_update_and_a_touch_at_once_neither_undoes_the_other(
        self, store: SessionStore
    ) -> None:
        """L4, S9: last-seen never decreases, and what was saved stays saved."""
        for _ in range(RACES):
            new = a_session()
            store.insert(new)
            saved = replace(new, version=2, data=b"new", seen_at=NOW + 5)
            updated, touched = at_once(
                partial(store.update, saved, 1),
                partial(
                    store.touch,
                    new.digest,
                    seen_at=NOW + 9,
                    expires_at=NOW + DAY,
                    not_since=NOW + 5,
                ),
            )
            assert touched is True
            expected = saved if updated is True else new
            assert self.only(store, new.digest) == replace(expected, seen_at=NOW + 9)

    def test_what_ends_meanwhile_stays_ended(self, store: SessionStore) -> None:
        """S3: late save resurrects a session, on several connections (CVE-2025-46336)."""
        for turn in range(RACES):
            new = a_session()
            store.insert(new)
            later = {"seen_at": NOW + 5, "expires_at": NOW + DAY}
            late: list[Callable[[], Any]] = [
                partial(store.update, replace(new, version=2, seen_at=NOW + 5), 1),
                partial(store.touch, new.digest, **later, not_since=NOW),
                partial(store.lock, new.digest, "me", now=NOW, until=NOW + 9),
            ]
            ended, _ = at_once(partial(store.end, [marking(new)]), late[turn % 3])
            assert ended == 1
            assert self.only(store, new.digest).ended == "signed_out"

    def test_a_digest_is_used_once(self, store: SessionStore) -> None:
        """S3: neither over a live session nor over a marker is another one stored."""
        live, ended, old, other = (a_session() for _ in range(4))
        for each in (live, ended, old, other):
            store.insert(each)
        store.end([marking(ended)])
        marker = self.only(store, ended.digest)
        for used in (live, ended):
            again = a_session(digest=used.digest)
            assert refused(partial(store.insert, again))
            assert refused(partial(store.insert, again, [marking(other)]))
            assert refused(partial(store.renew, marking(old), 1, again))
        assert self.only(store, live.digest) == live
        assert self.only(store, ended.digest) == marker
        assert self.only(store, old.digest) == old
        assert self.only(store, other.digest) == other

    def test_of_two_inserts_of_one_digest_at_once_one_is_made(self, store: SessionStore) -> None:
        """S3: the other one is an error."""
        for _ in range(RACES):
            news = [a_session(digest=secrets.token_bytes(32))]
            news.append(a_session(digest=news[0].digest))
            results = at_once(*[partial(store.insert, new) for new in news])
            assert [result for result in results if result is True] == [True]
            assert isinstance(results[results.index(True) - 1], Exception)
            assert self.only(store, news[0].digest) == news[results.index(True)]

    def test_an_update_never_moves_last_seen_back(self, store: SessionStore) -> None:
        """L4, S9: last-seen never decreases, nor does the end come nearer: it was touched since."""
        new = a_session(seen_at=NOW, expires_at=NOW + 60_000)
        store.insert(new)
        store.touch(new.digest, seen_at=NOW + 1000, expires_at=NOW + 61_000, not_since=NOW + 1000)
        slow = replace(new, version=2, seen_at=NOW + 999, expires_at=NOW + 60_999)
        assert not store.update(slow, 1)
        assert self.only(store, new.digest).expires_at == NOW + 61_000
        assert store.update(replace(slow, seen_at=NOW + 1000, expires_at=NOW + 61_000), 1)
        assert self.only(store, new.digest).seen_at == NOW + 1000

    def test_an_update_ends_others_along(self, store: SessionStore) -> None:
        """I4: what a merge absorbed ends in the same transaction."""
        new, other = a_session(), a_session()
        store.insert(new)
        store.insert(other)
        assert store.update(replace(new, version=2), 1, [marking(other, "merged")])
        assert self.only(store, other.digest).ended == "merged"

    def test_an_update_that_fails_ends_nobody(self, store: SessionStore) -> None:
        """S3: all of it, or nothing."""
        new, other = a_session(), a_session()
        store.insert(new)
        store.insert(other)
        assert not store.update(replace(new, version=8), 7, [marking(other)])
        assert self.only(store, other.digest) == other

    @staticmethod
    def _writes(store: SessionStore, endings: list[Ending]) -> list[Callable[[], bool]]:
        """An insert, an update and a renewal, none of which needs more than that they end these."""
        updated, renewed = a_session(), a_session()
        store.insert(updated)
        store.insert(renewed)
        return [
            lambda: store.insert(a_session(), endings),
            lambda: store.update(replace(updated, version=2), 1, endings),
            lambda: store.renew(marking(renewed), 1, a_session(), endings),
        ]

    def test_an_ending_at_another_version_forbids_the_write(self, store: SessionStore) -> None:
        """S3: what was read of the other session is no longer true, so nothing at all is done."""
        free, other, gone = a_session(), a_session(version=3), a_session()
        for each in (free, other, gone):
            store.insert(each)
        store.end([Ending(gone.digest, "revoked")])
        for wrong in (
            replace(marking(other), version=2),
            Ending(other.digest, "merged", version=4),
            replace(marking(gone), version=1),
        ):
            writes = self._writes(store, [marking(free), wrong])
            before = sorted(store.iterate("session"), key=lambda row: row.digest)
            assert [write() for write in writes] == [False] * 3
            assert sorted(store.iterate("session"), key=lambda row: row.digest) == before

    def test_an_ending_at_its_version_is_made(self, store: SessionStore) -> None:
        """S3: with whatever write names it; one without a version may have come too late."""
        for index in range(3):
            marked, deleted, gone = a_session(version=3), a_session(version=5), a_session()
            store.insert(marked)
            store.insert(deleted)
            endings = [
                Ending(gone.digest, "merged"),
                replace(marking(marked, "merged"), version=3),
                Ending(deleted.digest, "merged", version=5),
            ]
            assert self._writes(store, endings)[index]() is True
            left = store.load([marked.digest, deleted.digest, gone.digest])
            found = [(row.digest, row.ended, row.version) for row in left]
            assert found == [(marked.digest, "merged", 4)]

    def test_ending_leaves_another_version_as_it_is(self, store: SessionStore) -> None:
        """S3: and does not count it."""
        one, two = a_session(version=3), a_session(version=3)
        store.insert(one)
        store.insert(two)
        old = [replace(marking(one), version=2), Ending(two.digest, "revoked", version=4)]
        assert store.end(old) == 0
        assert store.load([one.digest]) == [one]
        assert store.load([two.digest]) == [two]
        assert store.end([replace(ending, version=3) for ending in old]) == 2

    @staticmethod
    def _merge(store: SessionStore, mine: StoredSession, other: StoredSession) -> bool:
        changed = replace(mine, version=mine.version + 1, data=b"both")
        absorbed = replace(marking(other, "merged"), version=other.version)
        return store.update(changed, mine.version, [absorbed])

    def test_of_two_merges_in_both_directions_one_is_made(self, store: SessionStore) -> None:
        """S3: each ends the other, if it is as was read; they neither fail nor both succeed."""
        for _ in range(50):
            one, two = a_session(version=3), a_session(version=5)
            store.insert(one)
            store.insert(two)
            results = at_once(
                partial(self._merge, store, one, two), partial(self._merge, store, two, one)
            )
            assert sorted(map(str, results)) == ["False", "True"]
            rows = store.load([one.digest, two.digest])
            assert sorted((row.ended or "", row.data) for row in rows) == [
                ("", b"both"),
                ("merged", b"rest"),
            ]

    def test_endings_in_any_order_meet_without_an_error(self, store: SessionStore) -> None:
        """R8: two that end the same sessions, each in an order of its own."""
        for _ in range(10):
            sessions = [a_session() for _ in range(6)]
            for each in sessions:
                store.insert(each)
            endings = [marking(each) for each in sessions]
            counts = at_once(partial(store.end, endings), partial(store.end, endings[::-1]))
            assert sum(counts) == 6

    def test_renewing_puts_the_new_in_the_place_of_the_old(self, store: SessionStore) -> None:
        """R1: the old row ends and the new one appears, with the same handle."""
        old = a_session(user_id="ann", signed_in_at=NOW)
        store.insert(old)
        new = a_session(handle=old.handle, data=b"same", user_id="ann", signed_in_at=NOW + 5)
        assert store.renew(marking(old, "renewed"), 1, new) is True
        assert self.only(store, new.digest) == new
        marker = self.only(store, old.digest)
        assert (marker.ended, marker.data, marker.handle) == ("renewed", b"rest", None)
        assert marker.expires_at == NOW + 60_000
        assert (marker.user_id, marker.signed_in_at) == (None, None)

    def test_renewing_at_another_version_changes_nothing(self, store: SessionStore) -> None:
        """R1: a renewal that read an older version is told so, and the old session is intact."""
        old, new, other = a_session(version=3), a_session(), a_session()
        store.insert(old)
        store.insert(other)
        for version in (2, 4):
            assert store.renew(marking(old), version, new, [marking(other)]) is False
        assert self.only(store, old.digest) == old
        assert self.only(store, other.digest) == other
        assert list(store.load([new.digest])) == []

    def test_renewing_ends_others_along(self, store: SessionStore) -> None:
        """R4: with the sign-in ends what else the browser had, each in its way."""
        old, marked, deleted = a_session(), a_session(), a_session()
        for each in (old, marked, deleted):
            store.insert(each)
        endings = [marking(marked, "merged"), Ending(deleted.digest, "revoked")]
        assert store.renew(marking(old, "renewed"), 1, a_session(), endings) is True
        left = store.load([old.digest, marked.digest, deleted.digest])
        assert {row.digest: row.ended for row in left} == {
            old.digest: "renewed",
            marked.digest: "merged",
        }

    def test_of_two_renewals_at_once_one_is_made(self, store: SessionStore) -> None:
        """R1: rotation undone by a parallel save (Jetty #2671)."""
        for _ in range(RACES):
            old = a_session()
            store.insert(old)
            news = [a_session(), a_session()]
            ending = marking(old, "renewed")
            results = at_once(*[partial(store.renew, ending, 1, new) for new in news])
            assert sorted(map(str, results)) == ["False", "True"]
            assert store.load([new.digest for new in news]) == [news[results.index(True)]]

    def test_of_a_renewal_and_an_update_at_once_one_is_made(self, store: SessionStore) -> None:
        """R1: a save that is late finds the session gone."""
        for _ in range(RACES):
            old, new = a_session(), a_session()
            store.insert(old)
            results = at_once(
                partial(store.renew, marking(old, "renewed"), 1, new),
                partial(store.update, replace(old, version=2, data=b"late"), 1),
            )
            assert sorted(map(str, results)) == ["False", "True"]
            assert (self.only(store, old.digest).ended == "renewed") is results[0]
            assert len(store.load([new.digest])) == results[0]

    def test_a_touch_moves_the_idle_clock_and_nothing_else(self, store: SessionStore) -> None:
        """S9: no new version, no data."""
        new = a_session()
        store.insert(new)
        assert store.touch(new.digest, seen_at=NOW + 9, expires_at=NOW + 99, not_since=NOW)
        assert self.only(store, new.digest) == replace(new, seen_at=NOW + 9, expires_at=NOW + 99)

    def test_a_touch_leaves_the_deadline_as_it_is_now(self, store: SessionStore) -> None:
        """R5, I6: it may have been moved since the session was loaded, there or back."""
        new = a_session(deadline=NOW + 50, expires_at=NOW + 50)
        store.insert(new)
        assert store.touch(new.digest, seen_at=NOW + 9, expires_at=NOW + 99, not_since=NOW)
        assert self.only(store, new.digest) == replace(new, seen_at=NOW + 9)

    def test_a_touch_that_is_not_due_is_not_made(self, store: SessionStore) -> None:
        """S9: the condition is checked where the row is written."""
        new = a_session(seen_at=NOW + 10)
        store.insert(new)
        assert not store.touch(new.digest, seen_at=NOW + 9, expires_at=NOW + 99, not_since=NOW + 9)
        assert self.only(store, new.digest) == new

    def test_what_expired_is_neither_saved_nor_touched_nor_renewed(
        self, store: SessionStore
    ) -> None:
        """S3, S9: a request that took longer than the session lived revives nothing."""
        old = a_session(expires_at=NOW + 10)
        store.insert(old)
        late = {"seen_at": NOW + 10, "expires_at": NOW + 99}
        assert not store.update(replace(old, version=2, **late), 1)
        assert not store.touch(old.digest, **late, not_since=NOW)
        assert not store.renew(marking(old), 1, a_session(**late))
        assert self.only(store, old.digest) == old

    def test_of_many_touches_at_once_one_is_made(self, store: SessionStore) -> None:
        """S9: at most one write per interval and session."""
        new = a_session()
        store.insert(new)
        for turn in range(RACES):
            seen = NOW + 10 * turn
            later = {"seen_at": seen + 10, "expires_at": seen + DAY}
            touch = partial(store.touch, new.digest, **later, not_since=seen)
            assert sorted(map(str, at_once(*[touch] * 4))) == ["False"] * 3 + ["True"]

    def test_a_touch_revives_nothing(self, store: SessionStore) -> None:
        """S9: neither a marker nor what is gone."""
        ended, gone = a_session(), a_session()
        for each in (ended, gone):
            store.insert(each)
        store.end([marking(ended), Ending(gone.digest, "revoked")])
        marker = self.only(store, ended.digest)
        for each in (ended, gone):
            assert not store.touch(
                each.digest, seen_at=NOW + 9, expires_at=NOW + 99, not_since=NOW + 8
            )
        assert self.only(store, ended.digest) == marker
        assert list(store.load([gone.digest])) == []

    def test_one_at_a_time_holds_the_lock(self, store: SessionStore) -> None:
        """S13: until it is released, or its time is over."""
        new = a_session()
        store.insert(new)
        assert store.lock(new.digest, "one", now=NOW, until=NOW + 10)
        assert store.lock(new.digest, "one", now=NOW, until=NOW + 10)  # the answer was lost
        assert not store.lock(new.digest, "other", now=NOW + 9, until=NOW + 20)
        store.unlock(new.digest, "other")
        assert not store.lock(new.digest, "other", now=NOW + 9, until=NOW + 20)
        store.unlock(new.digest, "one")
        assert store.lock(new.digest, "other", now=NOW + 9, until=NOW + 20)
        assert store.lock(new.digest, "third", now=NOW + 20, until=NOW + 30)
        assert self.only(store, new.digest) == new

    def test_nothing_but_its_owner_frees_a_lock(self, store: SessionStore) -> None:
        """S13: what is read, touched and saved inside is still locked, until its last moment."""
        new = a_session()
        store.insert(new)
        assert store.lock(new.digest, "one", now=NOW, until=NOW + 10)
        later = {"seen_at": NOW + 1, "expires_at": NOW + DAY}
        uses: list[Callable[[], Any]] = [
            lambda: store.load([new.digest]),
            lambda: store.touch(new.digest, **later, not_since=NOW),
            lambda: store.update(replace(new, version=2, **later), 1),
            lambda: store.sweep(NOW + DAY - 1, 10),
            lambda: store.lock(new.digest, "one", now=NOW, until=NOW + 30),
        ]
        for use in uses:
            use()
            assert not store.lock(new.digest, "other", now=NOW + 9, until=NOW + 20)
        assert not store.lock(new.digest, "other", now=NOW + 29, until=NOW + 40)

    def test_of_many_that_lock_at_once_one_does(self, store: SessionStore) -> None:
        """S13: compare-and-set, on several connections."""
        new = a_session()
        store.insert(new)
        for turn in range(RACES):
            now = NOW + 10 * turn
            tasks = [
                partial(store.lock, new.digest, owner, now=now, until=now + 10) for owner in "abcd"
            ]
            assert sorted(map(str, at_once(*tasks))) == ["False"] * 3 + ["True"]

    def test_what_is_no_session_can_not_be_locked(self, store: SessionStore) -> None:
        """S13: neither a marker nor what is gone."""
        ended = a_session()
        store.insert(ended)
        store.end([marking(ended)])
        for digest in (ended.digest, secrets.token_bytes(32)):
            assert not store.lock(digest, "one", now=NOW, until=NOW + 10)

    def test_ending_tells_how_many_were_live(self, store: SessionStore) -> None:
        """R2: logout that deletes nothing (Spring #1847's fix)."""
        marked, deleted = a_session(), a_session()
        store.insert(marked)
        store.insert(deleted)
        endings = [marking(marked), Ending(deleted.digest, "revoked")]
        assert store.end(endings) == 2
        assert store.end(endings) == 0
        assert [row.ended for row in store.load([marked.digest, deleted.digest])] == ["signed_out"]

    def test_a_marker_holds_nothing_of_the_session(self, store: SessionStore) -> None:
        """R3, R6: but that it was, and what the ending says."""
        new = a_session(
            user_id="ann",
            signed_in_at=NOW,
            generation=b"old",
            data=b"secret",
            address="192.0.2.1",
            user_agent="Lynx",
        )
        store.insert(new)
        assert store.end([marking(new)]) == 1
        marker = self.only(store, new.digest)
        assert (marker.ended, marker.data, marker.version) == ("signed_out", b"rest", 2)
        assert (marker.manager, marker.expires_at) == ("session", NOW + 60_000)
        nothing = (marker.user_id, marker.signed_in_at, marker.generation)
        assert nothing == (None,) * 3
        assert new.handle is not None
        assert store.find("session", new.handle) is None

    def test_what_has_ended_does_not_end_again(self, store: SessionStore) -> None:
        """R3: the marker keeps its reason and its time, and is not deleted before that."""
        new = a_session()
        store.insert(new)
        store.end([marking(new)])
        marker = self.only(store, new.digest)
        later = Ending(new.digest, "revoked", NOW + 90_000, b"other")
        for again in (later, Ending(new.digest, "revoked")):
            assert store.end([again]) == 0
            assert store.insert(a_session(), [again]) is True
            assert self.only(store, new.digest) == marker

    def test_of_many_that_end_a_session_at_once_one_does(self, store: SessionStore) -> None:
        """R2: it is counted once, whether a marker is left or nothing."""
        for turn in range(RACES):
            new = a_session()
            store.insert(new)
            ending = marking(new) if turn % 2 else Ending(new.digest, "revoked")
            assert sorted(map(str, at_once(*[partial(store.end, [ending])] * 3))) == ["0", "0", "1"]

    def test_ending_nothing_is_no_error(self, store: SessionStore) -> None:
        """R2: an empty list ends nobody."""
        assert store.end([]) == 0

    def test_a_session_is_found_by_its_handle(self, store: SessionStore) -> None:
        """I11: by exactly that handle, and of that manager alone."""
        new = a_session(handle="aB" * 11, address="192.0.2.1", user_agent="Lynx")
        store.insert(new)
        assert store.find("session", "aB" * 11) == new
        assert store.find("session", "Ab" * 11) is None
        assert store.find("admin_session", "aB" * 11) is None

    def test_what_is_expired_is_there_until_it_is_swept(self, store: SessionStore) -> None:
        """L4: the reader judges it."""
        old = a_session(expires_at=NOW - DAY, deadline=NOW - DAY)
        store.insert(old)
        assert old.handle is not None
        assert self.only(store, old.digest) == old
        assert store.find("session", old.handle) == old
        assert list(store.iterate("session")) == [old]

    def test_the_sessions_of_a_user_are_listed(self, store: SessionStore) -> None:
        """I11, R8: the live ones of that manager, last seen first; no markers, none expired."""
        older = a_session(user_id="ann", seen_at=NOW)
        newer = a_session(user_id="ann", seen_at=NOW + 5)
        others = [
            a_session(user_id="Ann"),
            a_session(user_id="ann", manager="admin_session"),
            a_session(user_id="ann", expires_at=NOW + 1),
            a_session(),
        ]
        ended = a_session(user_id="ann")
        for each in (older, newer, ended, *others):
            store.insert(each)
        store.end([marking(ended)])
        assert list(store.of_user("session", "ann", NOW + 1)) == [newer, older]

    def test_users_and_handles_that_look_alike_are_several(self, store: SessionStore) -> None:
        """I11, R8: no collation may make two of them one, by case, accents or blanks at the end."""
        users = ["ann", "ann ", "Ann", "\u00e1nn", "a\u0301nn"]
        mine = [a_session(user_id=user, handle=f"{user:x<21}") for user in users]
        for each in mine:
            store.insert(each)
        for each, user in zip(mine, users, strict=True):
            assert list(store.of_user("session", user, NOW)) == [each]
            assert store.find("session", f"{user:x<21}") == each
            assert store.find("session", f"{user:x<21} ") is None
            assert store.end_oldest("session", user, 1, NOW) == 0

    def test_the_last_sign_in_of_a_user_is_told(self, store: SessionStore) -> None:
        """R8: as of the sessions that are listed, so that the next one can be later."""
        assert store.last_sign_in("session", "ann", NOW) is None
        store.insert(a_session(user_id="ann"))
        assert store.last_sign_in("session", "ann", NOW) is None
        ended = a_session(user_id="ann", signed_in_at=NOW + 9)
        for each in (
            a_session(user_id="ann", signed_in_at=NOW - 1),
            a_session(user_id="ann", signed_in_at=NOW + 5),
            a_session(user_id="ann", signed_in_at=NOW + 9, expires_at=NOW + 1),
            a_session(user_id="ann", signed_in_at=NOW + 9, manager="admin_session"),
            a_session(user_id="ann ", signed_in_at=NOW + 9),
            ended,
        ):
            store.insert(each)
        store.end([marking(ended)])
        assert store.last_sign_in("session", "ann", NOW + 1) == NOW + 5

    def test_all_but_the_newest_of_a_user_are_ended(self, store: SessionStore) -> None:
        """R8: by sign-in; what is expired, ended, another's or another manager's doesn't count."""
        signed_in = [None, NOW + 1, NOW + 2, NOW + 3, NOW + 4]
        mine = [
            a_session(user_id="ann", created_at=NOW - age, signed_in_at=moment)
            for age, moment in enumerate(signed_in)
        ]
        others = [
            a_session(user_id="bob", signed_in_at=NOW - 9),
            a_session(user_id="ann", signed_in_at=NOW - 9, manager="admin_session"),
            a_session(user_id="ann", signed_in_at=NOW + 9, expires_at=NOW + 1),
        ]
        ended = a_session(user_id="ann", signed_in_at=NOW + 9)
        for each in (*mine, *others, ended):
            store.insert(each)
        store.end([marking(ended)])
        assert store.end_oldest("session", "ann", 4, NOW + 1) == 1
        assert list(store.load([mine[0].digest])) == []
        assert store.end_oldest("session", "ann", 2, NOW + 1) == 2
        assert store.end_oldest("session", "ann", 2, NOW + 1) == 0
        kept = {row.digest for row in store.load([s.digest for s in mine])}
        assert kept == {mine[3].digest, mine[4].digest}
        assert len(store.load([s.digest for s in others])) == 3

    def test_of_sessions_that_began_at_once_the_same_are_kept(self, store: SessionStore) -> None:
        """R8: two requests that limit a user's sessions at once never end all of them."""
        mine = [a_session(user_id="ann", signed_in_at=NOW) for _ in range(6)]
        for each in mine:
            store.insert(each)
        counts = at_once(*[lambda: store.end_oldest("session", "ann", 2, NOW)] * 2)
        assert sum(counts) == 4
        kept = {row.digest for row in store.load([each.digest for each in mine])}
        assert kept == set(sorted(each.digest for each in mine)[:2])

    def test_iterating_yields_every_session_once(self, store: SessionStore) -> None:
        """I8: of one manager, in batches, without markers."""
        mine = {(s := a_session()).digest: s for _ in range(7)}
        ended = a_session()
        for each in (*mine.values(), ended, a_session(manager="admin_session")):
            store.insert(each)
        store.end([marking(ended)])
        rows = list(store.iterate("session"))
        assert {row.digest: row for row in rows} == mine
        assert len(rows) == 7

    def test_many_sessions_are_each_iterated_once(self, store: SessionStore) -> None:
        """I8: whatever the size of a batch, and though those that were read are deleted."""
        mine = {(s := a_session(address="192.0.2.1")).digest: s for _ in range(MANY)}
        for each in mine.values():
            store.insert(each)
        rows = []
        for row in store.iterate("session"):
            rows.append(row)
            if len(rows) % 3 == 0:
                store.end([Ending(row.digest, "revoked")])
        assert len(rows) == MANY
        assert {row.digest: row for row in rows} == mine

    def test_sweeping_deletes_what_is_expired_and_nothing_else(self, store: SessionStore) -> None:
        """W1: cleanup that deletes live rows (koa-pg-session #8)."""
        live = [a_session(), a_session(expires_at=NOW + 2)]
        dead = [a_session(expires_at=NOW + 1), a_session(expires_at=NOW - DAY)]
        for each in (*live, *dead):
            store.insert(each)
        assert store.sweep(NOW + 1, 100) == 2
        assert {row.digest for row in store.load([s.digest for s in (*live, *dead)])} == {
            s.digest for s in live
        }

    def test_sweeping_keeps_to_its_limit(self, store: SessionStore) -> None:
        """W1: in batches; as many as the limit means that there may be more."""
        for _ in range(5):
            store.insert(a_session(expires_at=NOW))
        assert [store.sweep(NOW, 2) for _ in range(3)] == [2, 2, 1]
        assert store.sweep(NOW, 2) == 0

    def test_a_touched_session_outlives_its_first_expiry(self, store: SessionStore) -> None:
        """W1: a sweeper that looks at a session which was touched since leaves it alone."""
        new = a_session(expires_at=NOW + 10)
        store.insert(new)
        store.touch(new.digest, seen_at=NOW + 9, expires_at=NOW + 20, not_since=NOW)
        store.sweep(NOW + 10, 100)
        assert self.only(store, new.digest).expires_at == NOW + 20
        assert store.sweep(NOW + 15, 100) == 0
        assert store.sweep(NOW + 20, 100) == 1
        assert list(store.load([new.digest])) == []

    def test_a_saved_session_outlives_its_first_expiry(self, store: SessionStore) -> None:
        """W1: a save may have moved it just as well."""
        new = a_session(expires_at=NOW + 10)
        store.insert(new)
        saved = replace(new, version=2, seen_at=NOW + 9, expires_at=NOW + 20)
        assert store.update(saved, 1)
        store.sweep(NOW + 10, 100)
        assert self.only(store, new.digest) == saved
        assert store.sweep(NOW + 20, 100) == 1

    def test_what_is_touched_while_it_is_swept_lives(self, store: SessionStore) -> None:
        """W1: the deletion tests again; or the touch came too late, and says so."""
        for _ in range(RACES):
            new = a_session(expires_at=NOW + 10)
            store.insert(new)
            later = {"seen_at": NOW + 9, "expires_at": NOW + DAY}
            touched, _ = at_once(
                partial(store.touch, new.digest, **later, not_since=NOW),
                partial(store.sweep, NOW + 10, 100),
            )
            expected = [replace(new, **later)] if touched is True else []
            assert store.load([new.digest]) == expected

    def test_markers_are_swept(self, store: SessionStore) -> None:
        """R3: once their minute is over."""
        new = a_session()
        store.insert(new)
        store.end([marking(new)])
        assert store.sweep(NOW + 59_999, 100) == 0
        assert store.sweep(NOW + 60_000, 100) == 1
        assert list(store.load([new.digest])) == []

    def test_four_sweepers_at_once_share_the_work(self, store: SessionStore) -> None:
        """W1: cleanup that deadlocks (Spring #838)."""
        live = a_session()
        store.insert(live)
        for _ in range(40):
            store.insert(a_session(expires_at=NOW))

        def sweep() -> None:
            while store.sweep(NOW, 5):
                pass

        assert at_once(*[sweep] * 4) == [None] * 4
        assert [row.digest for row in store.iterate("session")] == [live.digest]

    def test_a_shortened_deadline_is_swept_in_time(self, store: SessionStore) -> None:
        """I6: an update that brings the end nearer also brings the sweeper nearer."""
        new = a_session()
        store.insert(new)
        store.update(replace(new, version=2, deadline=NOW + 5, expires_at=NOW + 5), 1)
        assert store.sweep(NOW + 5, 100) == 1
        assert list(store.load([new.digest])) == []

    def test_what_it_needs_is_there(self, store: SessionStore) -> None:
        """I14: a store that is ready says nothing."""
        store.check()
