"""Commands of Python, each in a process of its own that has imported its libraries beforehand.

A command like `alembic` imports for two seconds and works for a tenth of one. Here one process
imports once, and is forked for each command, which then finds its own folder, environment,
arguments and output. What is about a start, or about a copy of the project, needs an interpreter of
its own.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["harness.warmed"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run(
    module: str,
    *words: str | Path,
    folder: Path,
    environment: Mapping[str, str],
    seconds: int = 120,
) -> Done:
    """Run `python -m module words…` in a folder, to its end."""
    with tempfile.TemporaryDirectory() as texts:
        out, err = Path(texts, "out"), Path(texts, "err")
        arguments = [module, *map(str, words)]
        process = _CONTEXT.Process(
            target=_run, args=(arguments, folder, dict(environment), out, err)
        )
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{' '.join(arguments)} has not ended within {seconds} s")
        return Done(returncode=process.exitcode, stdout=out.read_text(), stderr=err.read_text())


def _run(
    arguments: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path
) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    sys.path[0] = str(folder)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
