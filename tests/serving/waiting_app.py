"""An application whose answers wait for a word, to be ended in the midst of them.

`/wait/NAME` answers once the file NAME is there, `/stream/NAME` has begun by then, and `/echo`
says how much it was sent. The files lie in `folder` of its section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.waiting import wait_until

LONGEST = 60.0

App = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


def make(global_config: dict[str, str], *, folder: str) -> App:
    """Make the application, for PasteDeploy."""

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        _, what, *name = environ["PATH_INFO"].split("/")
        start_response("200 OK", [("Content-Type", "text/plain")])
        if what == "echo":
            return [b"%d" % len(environ["wsgi.input"].read())]
        answer = _wait(Path(folder, *name))
        if what == "stream":
            return answer
        return [b"".join(answer)]

    return app


def _wait(word: Path) -> Iterator[bytes]:
    word.with_suffix(".begun").touch()
    yield b"begun, "
    wait_until(word.exists, f"the word {word}", LONGEST)
    yield b"done"
