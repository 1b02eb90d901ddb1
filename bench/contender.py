"""The runner's side of the protocol: a contender is a process that answers lines.

A contender ends with its input, so that none outlives the run.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench import ROOT
from harness.processes import clean_environment

REGISTER: Final = Path(__file__).with_name("contenders.toml")
PATIENCE: Final = 120.0  # seconds for one answer


class ContenderFailed(RuntimeError):
    """A contender said that it failed, fell silent or ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An entry of the register, see there."""

    name: str
    command: tuple[str, ...]
    databases: tuple[str, ...]
    store: str = ""
    group: str = ""
    reference: str = "LIMIT"
    works: tuple[str, ...] = ()
    quick: bool = False
    needs: str = ""
    folder: str = ""
    build: tuple[str, ...] = ()
    program: str = ""
    """What was built, see `built`."""

    @property
    def missing(self) -> str:
        """The program without which it can't run; empty if nothing lacks."""
        return "" if not self.needs or shutil.which(self.needs) else self.needs


def register(path: Path = REGISTER) -> list[Contender]:
    """All contenders, in the order in which they take turns."""
    entries: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["contender"]
    return [Contender(**_tuples(entry)) for entry in entries]


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}


def built(contender: Contender, folder: Path) -> Contender:
    """The contender with its program, made in this folder; itself if there is nothing to build.

    Raises ContenderFailed where it can't run. What the build said goes to standard error alone: it
    names hosts and folders of this machine, which have no place in a report.
    """
    if contender.missing:
        raise ContenderFailed(f"{contender.name} is left out: {contender.missing} is not installed")
    if not contender.build:
        return contender
    sources, program = folder / "sources", folder / "program"
    # A copy, so that a build leaves nothing in the project.
    shutil.copytree(REGISTER.parent / contender.folder, sources)
    command = [word.format(program=program) for word in contender.build]
    try:
        done = subprocess.run(
            command, cwd=sources, stdout=sys.stderr, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise ContenderFailed(f"{contender.name} is left out: its build took too long") from None
    if done.returncode:
        raise ContenderFailed(f"{contender.name} is left out: it could not be built")
    return replace(contender, program=str(program))


class Running:
    """A contender's process, ready to be asked, for the time of a `with` block."""

    def __init__(self, contender: Contender, url: str, rows: int) -> None:
        """Nothing is started yet."""
        self.contender = contender
        words = {"python": sys.executable, "program": contender.program}
        words |= {"url": url, "rows": str(rows)}
        self._command = [word.format(**words) for word in contender.command]

    def __enter__(self) -> Self:
        """Start it, and wait until it is ready."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=clean_environment(),
            bufsize=0,
        )
        self._heard = b""
        try:
            answer = self._line()
            if answer != "ready":
                raise ContenderFailed(f"{self.contender.name} said {answer!r} in place of ready")
            self.works = self._ask("works").split()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it end."""
        self._end()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def can(self, work: str) -> bool:
        """Whether it is to be measured at this work."""
        wanted = self.contender.works
        return work in self.works and (not wanted or work in wanted)

    def check(self, work: str) -> None:
        """Let it prove a work. Raises ContenderFailed."""
        self._ask(f"check {work}")

    def run(self, work: str, count: int) -> int:
        """Nanoseconds that so many calls took, as it says itself. Raises ContenderFailed."""
        return int(self._ask(f"run {work} {count}"))

    def _ask(self, question: str) -> str:
        if self._process.stdin is None:
            raise ContenderFailed("it was never started")
        try:
            self._process.stdin.write(question.encode() + b"\n")
        except BrokenPipeError:
            raise ContenderFailed(f"{self.contender.name} has ended") from None
        word, _, rest = self._line().partition(" ")
        if word != "ok":
            raise ContenderFailed(f"{self.contender.name}, {question}: {word} {rest}")
        return rest

    def _line(self) -> str:
        output = self._process.stdout
        if output is None:
            raise ContenderFailed("it was never started")
        while b"\n" not in self._heard:
            if not select.select([output], [], [], PATIENCE)[0]:
                raise ContenderFailed(f"{self.contender.name} has not answered for {PATIENCE} s")
            heard = os.read(output.fileno(), 4096)
            if not heard:
                raise ContenderFailed(f"{self.contender.name} has ended")
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
