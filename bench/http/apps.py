"""The applications that are served: the contenders of `make bench`, as an ini file names them.

`python -m bench.http.apps CONTENDER URL OTHERS SESSIONS` prepares a database: it makes the tables,
sessions that nobody will ask for, and those that are asked for, whose Cookie headers it prints.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Final

from bench.program import own_output
from bench.wsgi import Application, WsgiProgram

BARE: Final = "bare"
"""It has no sessions, and needs no database."""

CONTENDERS: Final = {
    BARE: ("bench.contenders.bare", "Bare", ""),
    "myapp": ("bench.contenders.myapp", "Myapp", ""),
    "django": ("bench.contenders.django_db", "DjangoDatabase", "tuned"),
}
"""By name: the module, its class and the variant."""


def application(global_config: dict[str, str], *, contender: str, url: str) -> Application:
    """What PasteDeploy calls, once in each process that serves; it leaves a mark that it did."""
    app = _program(contender, url).app
    (Path(global_config["here"]) / f"loaded-{os.getpid()}").touch()
    return app


def main() -> None:
    """Prepare, as the command line says."""
    answers = own_output()
    contender, url, others, sessions = sys.argv[1:]
    program = _program(contender, url)
    program.fill(int(others))
    print(json.dumps([program.new_session() for _ in range(int(sessions))]), file=answers)


def _program(contender: str, url: str) -> WsgiProgram:
    # Imported by name: whoever serves one needs none of the others.
    module, name, variant = CONTENDERS[contender]
    program: WsgiProgram = getattr(importlib.import_module(module), name)(url, variant)
    return program


if __name__ == "__main__":
    main()
