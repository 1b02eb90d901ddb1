"""Commands of ours, called as from a shell but in the process of the tests."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from click import Command
from click.testing import CliRunner, Result

# Click 8.1 mixes standard error into the output unless told; 8.2 keeps them apart and has no word.
_APART: dict[str, Any] = (
    {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
)


def called(
    command: Command,
    *words: str | Path,
    environment: Mapping[str, str] | None = None,
    catch_exceptions: bool = True,
) -> Result:
    """What the command said, on standard output and standard error, and its exit status."""
    runner = CliRunner(**_APART)
    texts = [str(word) for word in words]
    return runner.invoke(command, texts, env=environment, catch_exceptions=catch_exceptions)
