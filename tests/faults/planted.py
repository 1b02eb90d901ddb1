"""Plants known bugs, one at a time in a copy of the sources, and sees whether each is caught.

    python -m tests.faults.planted [WORD ...]

With words, only the bugs in whose names one of them occurs. Ends with status 1 if a bug was not
caught. What catches it is a run of the checker, or a test where the checker would need much luck.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.processes import ROOT, clean_environment

LONGEST: Final = 900.0
"""Seconds that a check may take, on a machine with much else to do."""
_LEFT_OUT: Final = (".*", "__pycache__", "*.egg-info", "build", "dist", "htmlcov", "*.sqlite*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A module to run, which ends with status 1 where it finds something wrong."""

    module: str
    words: tuple[str, ...]
    found: str
    """What its output then holds, as a regular expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One replacement in one file, and what is to catch it."""

    name: str
    file: str
    old: str
    new: str
    check: Check


def checker(rule: str, operations: int = 4000, *powers: str, database: str = "sqlite") -> Check:
    """A run of the checker, and the rule that is broken."""
    length = ("--operations", str(operations), "--seconds", "120")
    words = ("--database", database, *length, "--seed", "planted", *powers)
    return Check(
        module="tests.faults.checker", words=words, found=rf"violations +[1-9].*'{rule}': \d+"
    )


def pytest(file: str, word: str) -> Check:
    """The tests of a file that have a word in their names."""
    return Check(module="pytest", words=("-q", "-n", "0", "-k", word, file), found="failed")


BUGS: Final = (
    Bug(
        name="upsert instead of update",
        file="myapp/sessions/sql/statements.py",
        old="""\
    .where(
        _is_at_version,
        _c.expires_at > bindparam("seen_at"),
        _c.seen_at <= bindparam("seen_at"),
    )
    .values(
""",
        new="""\
    .where(_c.digest == bindparam("b_digest"))
    .values(
        ended=None,
""",
        check=checker("ended"),
    ),
    Bug(
        name="no version check",
        file="myapp/sessions/sql/statements.py",
        old='_c.version == bindparam("b_version")',
        new='_c.version <= _c.version + bindparam("b_version")',
        check=checker("write"),
    ),
    Bug(
        name="cookie before commit",
        file="myapp/sessions/web/finish.py",
        old="if joined is not None and not committed and _was_committed(state.kind, joined):",
        new="if joined is not None and not committed:",
        check=checker("lost"),
    ),
    Bug(
        name="no marker",
        file="myapp/sessions/core/ending.py",
        old="expires_at=kind.clock() + MARKER_LIFETIME,",
        new="expires_at=None,",
        check=checker("late"),
    ),
    Bug(
        name="what the session remembers moved before the commit",
        file="myapp/sessions/web/transaction.py",
        old="""\
                self._record.saved[state.kind.name] = saved
""",
        new="""\
                self._record.saved[state.kind.name] = saved
                settle(state, saved)
""",
        check=checker("write", 8000),
    ),
    Bug(
        name="mark_changed missing",
        file="myapp/sessions/web/transaction.py",
        old="joined = partial(mark, resource.session, resource.transaction_manager)",
        new="joined = lambda: None",
        check=checker("write"),
    ),
    Bug(
        name="a touch that writes data",
        file="myapp/sessions/core/saving.py",
        old="""\
            touched = self.kind.store.touch(
                row.digest,
                seen_at=now,
                # Its deadline may have been moved since: the store knows it.
                expires_at=lifetime.expiry(now, lifetime.NEVER, settings.idle_timeout),
                not_since=now - settings.touch_interval,
            )
""",
        new="""\
            touched = False
            for found in self.kind.store.load([row.digest]):
                written = replace(row, version=found.version + 1, seen_at=now)
                touched = self.kind.store.update(written, found.version)
""",
        check=pytest("tests/faults/test_touch_race.py", "sqlite"),
    ),
    Bug(
        name="a merge that forgets removals",
        file="myapp/sessions/core/merge.py",
        old="{key: value for key, value in theirs.items() if key not in removed}",
        new="dict(theirs)",
        check=checker("write", 8000),
    ),
    Bug(
        name="a sweeper that doesn't check again",
        file="myapp/sessions/sql/statements.py",
        old='sweep = delete(table).where(_these, _c.expires_at <= bindparam("now"))',
        new="sweep = delete(table).where(_these)",
        check=pytest("tests/faults/test_sweep_race.py", "sqlite"),
    ),
    Bug(
        name="a digest without the manager's name (L10)",
        file="myapp/sessions/core/token.py",
        old=r'f"{manager}\0{token}"',
        new=r'f"\0{token}"',
        check=checker("manager"),
    ),
    Bug(
        name="a sign-in kept after an abort that rolled its user back",
        file="myapp/sessions/web/finish.py",
        old="if sign_in is not None and not committed and transaction.wrote is not False:",
        new="if False:",
        check=checker("sign-up"),
    ),
    Bug(
        name="a lock that lets everybody in",
        file="myapp/sessions/sql/statements.py",
        old='_c.locked_until <= bindparam("now")',
        new='_c.locked_until != bindparam("now")',
        check=checker("count", 8000),
    ),
    Bug(
        name="a limit of a user's sessions that is too high",
        file="myapp/sessions/core/saved.py",
        old="kind.store.end_oldest(kind.name, user_id, keep, kind.clock())",
        new="kind.store.end_oldest(kind.name, user_id, keep + 5, kind.clock())",
        check=checker("limit", 8000),
    ),
    Bug(
        name="a merge of sessions that leaves the other alive",
        file="myapp/sessions/core/saving.py",
        old="endings = self._endings() if self.draft.absorb else []",
        new="endings: list[Ending] = []",
        check=checker("ended", 8000),
    ),
    Bug(
        name="a merge of sessions that misses what others store in the other meanwhile",
        file="myapp/sessions/core/saving.py",
        old='"merged", version=each.row.version)',
        new='"merged")',
        check=checker("write", 20000),
    ),
    Bug(
        name="a merge of sessions that keeps what one held that was ended meanwhile",
        file="myapp/sessions/core/draft.py",
        old="theirs = codec.decode(each.before)",
        new="theirs = codec.decode(each.before if found else each.after)",
        check=checker("foreign", 20000),
    ),
    Bug(
        name="a merge of sessions that tells of an end that it was not",
        file="myapp/sessions/core/saving.py",
        old="""\
        if draft.absorb:
            events += self._merged()
""",
        new="""\
        events += [ended(self.kind, each.row, "merged") for each in intent.absorb]
""",
        check=checker("ended", 20000),
    ),
    Bug(
        name="a session that merges itself",
        file="myapp/sessions/core/session.py",
        old="own.digest == digest",
        new="own is digest",
        check=pytest("tests/sessions/session/test_merging.py", "merge_itself"),
    ),
    Bug(
        name="a cookie that lasts as long as the settings say, whatever the row says",
        file="myapp/sessions/web/headers.py",
        old="left = max_age(now=written, deadline=row.deadline)",
        new="left = kind.settings.lifetime // SECOND",
        check=pytest("tests/sessions/test_truth.py", "max_age"),
    ),
    Bug(
        name="a block that is stored though it outlived its lock",
        file="myapp/sessions/core/locking.py",
        old="if isinstance(error, SessionLost) or state.kind.clock() >= until:",
        new="if False:",
        check=pytest("tests/sessions/test_lock.py", "HeldTooLong"),
    ),
    Bug(
        name="a sign-in that only the ORM's writes can drop",
        file="myapp/sessions/sql/written.py",
        old="return any(map(_has_written, present.values()))",
        new="return False",
        check=pytest("tests/outcomes/test_signed_in_after_rollback.py", "sqlite"),
    ),
    Bug(
        name="a limit of sessions that goes by each machine's clock",
        file="myapp/sessions/core/saving.py",
        old="return max([sign_in.at, *(1 + (row.signed_in_at or 0) for row in others)])",
        new="return sign_in.at",
        check=pytest("tests/sessions/test_limits.py", "sqlite"),
    ),
    Bug(
        name="a fork that goes on with its parent's connections",
        file="myapp/sessions/sql/executor.py",
        old="pool = self._pools[process_id()]",
        new="pool = self._pools[0]",
        check=checker("(?:error|outage|foreign)", 4000, "--forks", database="postgresql"),
    ),
    Bug(
        name="prepared statements behind a pooler",
        file="myapp/bounded_psycopg.py",
        old="if not is_pooled:",
        new="if True:",
        check=checker("(?:error|outage)", 6000, database="pgbouncer"),
    ),
    Bug(
        name="a place that is not given back after an interrupt",
        file="myapp/sessions/sql/turn.py",
        old="self.add(weakref.ref(place, self.discard))",
        new="self.add(weakref.ref(place))",
        check=checker("places", 8000, "--interrupts"),
    ),
    Bug(
        name="a connection that is used on after an interrupt",
        file="myapp/sessions/sql/executor.py",
        old="""\
            except BaseException:
                pool.close(connection)
""",
        new="""\
            except BaseException:
                pool.give_back(connection)
""",
        check=checker("outage", 8000, "--interrupts", database="postgresql"),
    ),
    Bug(
        name="an interrupt that leaves the application's connection an answer to read",
        file="myapp/sessions/sql/joined.py",
        old="self._connection.invalidate()",
        new="pass",
        check=checker("error", 8000, "--interrupts", database="mariadb"),
    ),
    Bug(
        name="an interrupt that counts as an outage",
        file="myapp/sessions/sql/opening.py",
        old="if isinstance(error, SQLAlchemyError | self._engine.dialect.loaded_dbapi.Error):",
        new="if True:",
        check=checker("outage", 20000, "--interrupts", database="postgresql"),
    ),
    Bug(
        name="a clock's leap that the sweeper believes",
        file="myapp/sessions/core/trust.py",
        old="if not self._ran_steadily(now - steady, steady, confirmed=theirs is not None):",
        new="if False:",
        check=checker("lost", 8000, "--leaps"),
    ),
    Bug(
        name="a clock's leap that blinds the process for good",
        file="myapp/sessions/core/lifetime.py",
        old="elif self._offset - offset >= _LEAP_IN_NS:",
        new="elif False:",
        check=checker("lost", 8000, "--leaps"),
    ),
    Bug(
        name="a clock's small step back that is followed",
        file="myapp/sessions/core/lifetime.py",
        old="elif self._offset - offset >= _LEAP_IN_NS:",
        new="elif True:",
        check=checker("lost", 20000, "--leaps"),
    ),
)


def plant(bug: Bug, folder: Path) -> None:
    """Make the replacement. Raise LookupError unless there is exactly one place for it."""
    path = folder / bug.file
    text = path.read_text("utf-8")
    if text.count(bug.old) != 1:
        raise LookupError(f"{bug.name}: {bug.file} has {text.count(bug.old)} places for it")
    path.write_text(text.replace(bug.old, bug.new), "utf-8")


@contextmanager
def copied(sources: Path = ROOT) -> Iterator[Path]:
    """A copy of the sources, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="myapp-planted-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(sources, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        yield copy


def outcome_of(check: Check, folder: Path) -> tuple[bool, str]:
    """Whether a check finds something wrong, and what it said of it in the end."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", check.module, *check.words],
            cwd=folder, env=clean_environment({"PYTHONDONTWRITEBYTECODE": "1"}),
            capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, "it took too long"
    lines = re.findall(rf"^.*{check.found}.*$", done.stdout, re.MULTILINE)
    if done.returncode == 1 and lines:
        return True, lines[-1].strip(" =")
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    return False, f"status {done.returncode}: {' '.join(last)}"


def main(words: list[str]) -> int:
    """Plant each, and tell; the exit status."""
    missed = 0
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        began = time.monotonic()
        with copied() as folder:
            plant(bug, folder)
            caught, said = outcome_of(bug.check, folder)
        missed += not caught
        print(f"{'caught' if caught else 'NOT caught'}: {bug.name}")
        by = f"{bug.check.module} {' '.join(bug.check.words)}"
        print(f"    {by}\n    {said}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{missed} bugs were not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
