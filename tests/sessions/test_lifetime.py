"""When a session begins, is touched and ends."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myapp.sessions.core.lifetime import (
    LEAP,
    MINUTE,
    SECOND,
    SteadyClock,
    expiry,
    from_datetime,
    is_expired,
    max_age,
    to_datetime,
    touch_due,
)
from myapp.sessions.core.store import StoredSession

NOW = 1_800_000_000_000
HOUR = 60 * MINUTE

moments = st.integers(0, 4_000_000_000_000)
durations = st.integers(1, 400 * 24 * HOUR)


def row_of(*, seen_at: int, expires_at: int, deadline: int) -> StoredSession:
    """A live row with these moments."""
    return StoredSession(
        digest=bytes(32), manager="session", handle="handle", version=1, data=b"",
        created_at=seen_at, seen_at=seen_at, deadline=deadline, expires_at=expires_at,
    )  # fmt: skip


def expired(
    *, now: int, seen_at: int = NOW, deadline: int = NOW + 8 * HOUR, idle: int | None = None
) -> bool:
    """Whether a row is dead that was written with the idle timeout of today."""
    expires_at = expiry(seen_at, deadline, idle)
    row = row_of(seen_at=seen_at, expires_at=expires_at, deadline=deadline)
    return is_expired(now, row, idle)


class TestExpiry:
    """The moment from which a session is dead."""

    @pytest.mark.parametrize(
        ("idle_timeout", "expected"),
        [
            (None, NOW + HOUR),
            (HOUR - 1, NOW + HOUR - 1),
            (HOUR, NOW + HOUR),
            (HOUR + 1, NOW + HOUR),
        ],
    )
    def test_it_is_the_earlier_of_two_limits(self, idle_timeout: int | None, expected: int) -> None:
        """ASVS 7.3.1, 7.3.2: idle or absolute."""
        assert expiry(NOW, NOW + HOUR, idle_timeout) == expected

    def test_the_deadline_is_to_the_millisecond(self) -> None:
        """L4: dead at the moment itself, alive one before."""
        assert not expired(now=NOW + 8 * HOUR - 1)
        assert expired(now=NOW + 8 * HOUR)
        assert expired(now=NOW + 8 * HOUR + 1)

    def test_the_idle_timeout_is_to_the_millisecond(self) -> None:
        """S9: a session idles out never later than its idle timeout."""
        assert not expired(now=NOW + HOUR - 1, idle=HOUR)
        assert expired(now=NOW + HOUR, idle=HOUR)

    @given(moments, moments, durations, st.none() | durations)
    def test_no_use_outlives_the_deadline(
        self, now: int, seen_at: int, left: int, idle: int | None
    ) -> None:
        """R5: nor does a row live on once it was dead."""
        deadline = seen_at + left
        assert expired(now=max(now, deadline), seen_at=now, deadline=deadline, idle=idle)
        if expired(now=now, seen_at=seen_at, deadline=deadline, idle=idle):
            assert expired(now=now + 1, seen_at=seen_at, deadline=deadline, idle=idle)

    def test_todays_shorter_idle_timeout_counts_for_old_rows(self) -> None:
        """L4: a row says when it dies, and the setting may have become stricter since."""
        row = row_of(seen_at=NOW, expires_at=NOW + 8 * HOUR, deadline=NOW + 8 * HOUR)
        assert is_expired(NOW + HOUR, row, HOUR)
        assert not is_expired(NOW + HOUR - 1, row, HOUR)

    def test_a_longer_idle_timeout_does_not_revive_old_rows(self) -> None:
        """L4: what the row says holds as well."""
        row = row_of(seen_at=NOW, expires_at=NOW + HOUR, deadline=NOW + 8 * HOUR)
        assert is_expired(NOW + HOUR, row, 4 * HOUR)
        assert is_expired(NOW + HOUR, row, None)

    @given(moments, durations, durations, st.none() | durations)
    def test_a_row_from_the_future_is_alive(
        self, now: int, ahead: int, left: int, idle: int | None
    ) -> None:
        """L4: another machine's clock is ahead of ours; its sessions are new to us, not dead."""
        seen_at = now + ahead
        assert not expired(now=now, seen_at=seen_at, deadline=seen_at + left, idle=idle)
        assert not touch_due(now=now, seen_at=seen_at, interval=1)

    @given(durations, durations, st.integers(-HOUR, HOUR))
    def test_skew_moves_a_limit_by_at_most_the_skew(self, left: int, idle: int, skew: int) -> None:
        """L4: seen by a machine whose clock differs from that of the one that wrote the row."""
        limit = min(left, idle)
        row = {"seen_at": NOW + skew, "deadline": NOW + skew + left, "idle": idle}
        assert expired(now=NOW + limit + abs(skew), **row)
        assert not expired(now=NOW + limit - abs(skew) - 1, **row)


class TestTouching:
    """When the idle clock is moved."""

    def test_it_is_due_after_the_interval(self) -> None:
        """S9: at most one write in each interval."""
        assert not touch_due(now=NOW + MINUTE - 1, seen_at=NOW, interval=MINUTE)
        assert touch_due(now=NOW + MINUTE, seen_at=NOW, interval=MINUTE)
        assert not touch_due(now=NOW, seen_at=NOW, interval=1)

    @given(durations, st.data())
    def test_a_session_in_use_idles_out_at_most_one_interval_early(
        self, idle: int, data: st.DataObject
    ) -> None:
        """S9: and never late."""
        interval = data.draw(st.integers(1, idle))
        seen_at = used_at = NOW
        for step in data.draw(st.lists(st.integers(0, interval), max_size=20)):
            used_at += step
            if touch_due(now=used_at, seen_at=seen_at, interval=interval):
                seen_at = used_at
        dies = expiry(seen_at, NOW + 10**15, idle)
        assert used_at + idle - interval < dies <= used_at + idle


class TestMaxAge:
    """How long the browser keeps the cookie."""

    @pytest.mark.parametrize(
        ("left", "expected"),
        [(0, 0), (1, 0), (999, 0), (1000, 1), (1999, 1), (HOUR, 3600), (-1, 0), (-HOUR, 0)],
    )
    def test_it_is_what_is_left_in_whole_seconds(self, left: int, expected: int) -> None:
        """R5: rounded down, and never negative."""
        assert max_age(now=NOW, deadline=NOW + left) == expected

    @given(moments, moments)
    def test_it_never_exceeds_what_is_left(self, now: int, deadline: int) -> None:
        """R5: whatever the two are."""
        assert max_age(now=now, deadline=deadline) * SECOND <= max(0, deadline - now)


class TestDatetimes:
    """Moments as datetimes."""

    @given(moments)
    def test_a_moment_survives_the_way_there_and_back(self, moment: int) -> None:
        """I6: to the millisecond, in UTC."""
        assert from_datetime(to_datetime(moment)) == moment
        assert to_datetime(moment).tzinfo is UTC

    @given(moments, st.integers(-14 * 60, 14 * 60))
    def test_the_zone_of_a_datetime_does_not_matter(self, moment: int, minutes: int) -> None:
        """I6: deadlines off by the zone (scs #48): it is the instant that counts."""
        there = to_datetime(moment).astimezone(timezone(timedelta(minutes=minutes)))
        assert from_datetime(there) == moment

    def test_a_naive_datetime_is_refused(self) -> None:
        """I6: nobody knows which instant it means."""
        with pytest.raises(ValueError, match="no time zone"):
            from_datetime(datetime(2030, 1, 1))  # that is the point

    def test_it_is_exact_far_from_today(self) -> None:
        """L4: no floating point is involved."""
        assert from_datetime(datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)) == 253402300799999
        assert from_datetime(datetime(1970, 1, 1, tzinfo=UTC)) == 0


@pytest.fixture(params=["AAA-14", "BBB12", "CCC-5:45", "DDD3EEE,J1,J365"])
def time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is elsewhere: east, west, in Nepal, or with daylight saving all year."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("time_zone")
def test_no_session_is_born_expired_whatever_the_time_zone() -> None:
    """L4: sessions born expired through clock or time zone (connect-pg-simple #25, scs #48)."""
    now = SteadyClock()()
    assert abs(now - datetime.now(UTC).timestamp() * 1000) < MINUTE
    assert abs(from_datetime(datetime.now().astimezone()) - now) < MINUTE
    assert not expired(now=SteadyClock()(), seen_at=now, deadline=now + HOUR, idle=MINUTE)
    assert expired(now=now + HOUR, seen_at=now, deadline=now + HOUR)


class Machine:
    """The two clocks of a machine, in nanoseconds, moved by hand."""

    def __init__(self, wall: int = NOW * 1_000_000, monotonic: int = 12_345) -> None:
        self.wall, self.monotonic = wall, monotonic
        self.clock = SteadyClock(lambda: self.wall, lambda: self.monotonic)

    def pass_(self, time: int, *, wall_steps: int = 0) -> int:
        """Let nanoseconds pass, somebody set the time, and answer what the clock shows."""
        self.wall += time + wall_steps
        self.monotonic += time
        return self.clock()


SECOND_NS = 1_000_000_000

LEAP_NS = LEAP * 1_000_000

passing = st.integers(0, 10**15)
small = st.integers(-LEAP_NS // 40, 10**15)
steps = st.lists(st.tuples(passing, small), max_size=30)
any_steps = st.lists(st.tuples(passing, st.integers(-(10**17), 10**17)), max_size=30)


class TestSteadyClock:
    """The system's clock, which somebody may set."""

    def test_it_shows_the_systems_time(self) -> None:
        """L4: in milliseconds since 1970, UTC."""
        assert Machine().clock() == NOW
        assert abs(SteadyClock()() - time.time() * 1000) < MINUTE

    @given(steps)
    def test_it_never_steps_back_and_never_stands_still(self, steps: list[tuple[int, int]]) -> None:
        """L4: within a process a clock stepping back by less than five minutes changes nothing."""
        machine = Machine()
        before = machine.clock()
        for passed, step in steps:
            shown = machine.pass_(passed, wall_steps=step)
            assert shown >= before + passed // 1_000_000
            before = shown

    @given(any_steps)
    def test_it_is_never_behind_the_system(self, steps: list[tuple[int, int]]) -> None:
        """L4: what the system's clock skips forward is skipped, after a suspension too."""
        machine = Machine()
        for passed, step in steps:
            assert machine.pass_(passed, wall_steps=step) >= machine.wall // 1_000_000

    @given(any_steps)
    def test_it_is_never_ahead_of_the_system_by_five_minutes(
        self, steps: list[tuple[int, int]]
    ) -> None:
        """L4: whatever the system's clock once said, for however short a time."""
        machine = Machine()
        for passed, step in steps:
            assert machine.pass_(passed, wall_steps=step) < (machine.wall + LEAP_NS) // 1_000_000

    @given(steps)
    def test_it_is_ahead_by_no_more_than_the_system_ever_stepped_back(
        self, steps: list[tuple[int, int]]
    ) -> None:
        """L4: sessions don't expire early for any other reason."""
        machine = Machine()
        back = 0
        for passed, step in steps:
            back += max(0, -step)
            assert machine.pass_(passed, wall_steps=step) <= (machine.wall + back) // 1_000_000

    def test_a_year_ahead_for_one_call_is_over_with_the_next(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """L4: not only when the process ends; one error names both times."""
        machine = Machine()
        year = 365 * 86_400 * SECOND_NS
        assert machine.pass_(0, wall_steps=year) == NOW + year // 1_000_000
        assert caplog.records == []
        assert machine.pass_(SECOND_NS, wall_steps=-year) == NOW + 1000
        assert machine.pass_(SECOND_NS) == NOW + 2000
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert "2028-01-15T08:00:01+00:00" in record.message
        assert "2027-01-15T08:00:01+00:00" in record.message

    @pytest.mark.parametrize(("step", "follows"), [(LEAP_NS - 1, False), (LEAP_NS, True)])
    def test_five_minutes_are_a_step_that_is_followed(
        self, step: int, follows: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """L4: at once; less is waited for."""
        machine = Machine()
        shown = machine.pass_(0, wall_steps=-step)
        assert shown == (machine.wall // 1_000_000 if follows else NOW)
        assert len(caplog.records) == follows

    def test_a_process_that_is_stopped_between_two_looks_is_not_ahead(self) -> None:
        """L4: the time that passes while both clocks are read does not count twice."""
        # How long it is stopped before each look: at the start, and within the first call.
        moments = itertools.accumulate([0, 0, 0, 200, 0, 0, 1])

        def look() -> int:
            return next(moments) * SECOND_NS

        clock = SteadyClock(look, look)
        assert clock() <= 200_000
        assert clock() <= 200_000

    def test_many_small_steps_back_are_one_large_one(self) -> None:
        """L4: the clock does not run ahead further and further."""
        machine = Machine()
        for _ in range(10):
            machine.pass_(0, wall_steps=-60 * SECOND_NS)
        assert machine.clock() < NOW

    def test_after_a_step_back_it_goes_on_until_the_system_has_caught_up(self) -> None:
        """L4: at the pace of the monotonic clock."""
        machine = Machine()
        assert machine.pass_(SECOND_NS, wall_steps=-10 * SECOND_NS) == NOW + 1000
        assert machine.pass_(5 * SECOND_NS) == NOW + 6000
        assert machine.pass_(0, wall_steps=8 * SECOND_NS) == NOW + 6000
        assert machine.pass_(0, wall_steps=3 * SECOND_NS) == NOW + 7000
        assert machine.pass_(SECOND_NS) == NOW + 8000

    def test_a_session_of_before_the_step_is_as_old_as_it_is(self) -> None:
        """L4: neither revived nor kept alive by a clock that is set back."""
        machine = Machine()
        born = machine.clock()
        step = -LEAP_NS + 1
        assert not expired(now=machine.pass_(0, wall_steps=step), seen_at=born, idle=HOUR)
        assert expired(now=machine.pass_(3600 * SECOND_NS), seen_at=born, idle=HOUR)

    def test_threads_share_one_time(self) -> None:
        """L4: what one thread saw no other one sees undone."""
        machine = Machine()
        shown: list[int] = []
        one_at_a_time = threading.Lock()

        def look(step: int) -> Callable[[], None]:
            def run() -> None:
                for _ in range(200):
                    with one_at_a_time:
                        shown.append(machine.pass_(1_000_000, wall_steps=step))

            return run

        threads = [threading.Thread(target=look(step)) for step in (-3_000_000, 2_000_000, 0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shown == sorted(shown)
        assert len(shown) == 600
