"""Moves each kind of old application under traffic: ``python -m tests.moving.run``.

Each old one has an environment of its own, with the packages that wrote its sessions. With words,
only those in whose names one of them occurs. Ends with status 1 if one of them failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Final

from bench.servers import Redis
from harness.processes import ROOT, clean_environment
from harness.servers.ports import free_port
from tests.moving.visitor import Visitor

SCRIPTS: Final = Path(__file__).with_name("scripts")
USERS: Final = 8
SECONDS: Final = 4
"""How long the traffic goes on before the move, and after it."""
OLD_PYRAMID: Final = ("pyramid<2", "setuptools<81")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One old application."""

    kind: str
    packages: tuple[str, ...]
    settings: dict[str, str]
    place: str = ""
    """What it needs: `folder`, `database` or `redis`."""
    counted: tuple[str, ...] = field(default=())
    """The words under which it is counted."""


def _case(name: str, *packages: str, kind: str = "", place: str = "", **settings: str) -> Case:
    given = {"cookie_name": "old", "secret": "the old secret"} | settings
    if name == "beaker":
        given["key"] = given.pop("cookie_name")
    moving = {f"moving.{name}.{key}": value for key, value in given.items()}
    common = {"moving.from": name, "moving.user_key": "user", "moving.pickle": "plain"}
    return Case(
        kind=kind or name,
        packages=packages,
        settings=common | moving,
        place=place,
        counted=(name,),
    )


_WITH_SESSION: Final = {
    "moving.from": "signed_cookie auth_tkt",
    "moving.user_key": "",
    "moving.auth_tkt.secret": "the old secret",
}
_SIGNED: Final = _case("signed_cookie", *OLD_PYRAMID, serializer="pickle")

CASES: Final = {
    "Pyramid 2": _case("signed_cookie", "pyramid>=2", "setuptools<81", kind="signed_cookie json"),
    "Pyramid 1": _SIGNED,
    "AuthTkt": Case(
        kind="auth_tkt",
        packages=OLD_PYRAMID,
        settings=_SIGNED.settings | _WITH_SESSION,
        counted=("signed_cookie", "auth_tkt"),
    ),
    "Beaker file": _case(
        "beaker", *OLD_PYRAMID, "pyramid_beaker", kind="beaker file", place="data_dir", type="file"
    ),
    "Beaker JSON": _case(
        *("beaker", *OLD_PYRAMID, "pyramid_beaker"),
        kind="beaker file json",
        place="data_dir",
        type="file",
        data_serializer="json",
    ),
    "Beaker database": _case(
        *("beaker", *OLD_PYRAMID, "pyramid_beaker", "SQLAlchemy"),
        kind="beaker ext:database",
        place="database",
        type="ext:database",
    ),
    "Beaker Redis": _case(
        *("beaker", *OLD_PYRAMID, "pyramid_beaker", "redis"),
        kind="beaker ext:redis",
        place="redis",
        type="ext:redis",
    ),
    "session_redis": _case(
        "session_redis", "pyramid>=2", "setuptools<81", "pyramid_session_redis", place="redis"
    ),
    "redis_sessions": _case(
        "redis_sessions", *OLD_PYRAMID, "pyramid_redis_sessions", "redis<4", place="redis"
    ),
}
_PLACES: Final = {"session_redis": "redis_url", "redis_sessions": "url", "beaker": "url"}


def main(*words: str) -> int:
    """Move them, and print a line for each."""
    failed = False
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="myapp-moving-")))
        new = _environment(folder / "new", str(ROOT), "redis")
        for name, case in CASES.items():
            if words and not any(word in name for word in words):
                continue
            own = folder / name.replace(" ", "-")
            own.mkdir()
            with redis.database() as url:
                trouble = _move(case, own, new, url)
            print(f"{name:16} {trouble or 'moved: nobody signed out, nothing lost'}", flush=True)
            failed = failed or bool(trouble)
    return int(failed)


def _move(case: Case, folder: Path, new: Path, redis: str) -> str:
    """Move one application while its users go on; what went wrong."""
    old, port = _environment(folder / "env", *case.packages), free_port()
    database = f"sqlite:///{folder / 'beaker.sqlite'}"
    (folder / "data").mkdir()
    place = {"data_dir": str(folder / "data"), "database": database, "redis": redis}.get(
        case.place, "-"
    )
    settings = case.settings | {"session.url": f"sqlite:///{folder / 'new.sqlite'}"}
    kind = case.counted[0]
    if case.place:
        settings[f"moving.{kind}.{'data_dir' if case.place == 'data_dir' else _PLACES[kind]}"] = (
            place
        )
    visitors = [Visitor(port, f"user{number}") for number in range(USERS)]
    over = Event()
    with ThreadPoolExecutor(USERS) as pool:
        try:
            with _running(old, "old.py", case.kind, str(port), place):
                list(pool.map(Visitor.sign_in, visitors))
                going = [pool.submit(visitor.go_on, over) for visitor in visitors]
                over.wait(SECONDS)
            with _running(new, "new.py", str(port), json.dumps(settings)):
                over.wait(SECONDS)
                over.set()
                for each in going:
                    each.result()
                return _found(case, visitors)
        finally:
            over.set()


def _found(case: Case, visitors: list[Visitor]) -> str:
    """What is wrong after a move: with the users, their sessions or the counters."""
    trouble = [line for visitor in visitors for line in visitor.trouble]
    counts = visitors[0].get("/counts")
    if counts["moved"].keys() != {*case.counted} or min(counts["moved"].values()) < USERS:
        trouble.append(f"counted: {counts}")
    for visitor in visitors:
        found = visitor.get("/everything")
        if found["flash"] != [f"Welcome, {visitor.user}"] or "Zoë" not in found["values"]["name"]:
            trouble.append(f"{visitor.user} holds {found}")
        if "json" not in case.kind and not {"since", "raw"} <= found["values"].keys():
            trouble.append(f"{visitor.user} holds {found}")
        if "old" in visitor.cookies or "auth_tkt" in visitor.cookies:
            trouble.append(f"{visitor.user} still has {[*visitor.cookies]}")
    if visitors[0].get("/counts") != counts:
        trouble.append("old cookies still arrive")
    if not all(visitor.added for visitor in visitors):
        trouble.append("there was no traffic")
    return "\n".join(trouble[:20])


def _environment(folder: Path, *packages: str) -> Path:
    """The interpreter of a new environment with these packages."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *packages,
    ]
    subprocess.run(install, env=clean_environment(), cwd=folder, check=True)
    return python


@contextmanager
def _running(python: Path, script: str, *words: str) -> Iterator[None]:
    """A script as a process of its own, from here to the end of the block."""
    command = [str(python), "-W", "ignore", str(SCRIPTS / script), *words]
    process = subprocess.Popen(command, env=clean_environment(), cwd=python.parent)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
