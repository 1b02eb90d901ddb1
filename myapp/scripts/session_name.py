"""Gives a codebase a cookie name of its own: `python -m myapp.scripts.session_name INI …`.

Two applications on one host, localhost above all, would overwrite each other's cookie.
"""

from __future__ import annotations

import re
import secrets
import string
from pathlib import Path
from typing import Final

import click

_LINE: Final = re.compile(
    r"^(session\.cookie_name *= *)((?:__Host-Http-|__Host-|__Http-|__Secure-)?)\S*[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)


def new_name() -> str:
    """`session_` and 8 random characters of a-z and 0-9."""
    alphabet = string.ascii_lowercase + string.digits
    return "session_" + "".join(secrets.choice(alphabet) for _ in range(8))


@click.command()
@click.argument(
    "files",
    metavar="INI…",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
def main(files: tuple[Path, ...]) -> None:
    """Write a fresh session cookie name into these ini files, the same into each."""
    name = new_name()
    # All are looked at before one is written, so that they never differ.
    changed = {path: _renamed(path, name) for path in files}
    for path, text in changed.items():
        path.write_text(text, "utf-8")
    click.echo(f"session.cookie_name is now {name} in {', '.join(map(str, files))}")


def _renamed(path: Path, name: str) -> str:
    """What the file is to hold; its cookie name keeps a prefix such as `__Host-`."""
    text, count = _LINE.subn(rf"\g<1>\g<2>{name}", path.read_text("utf-8"))
    if count != 1:
        raise click.ClickException(f"{path} has {count} lines `session.cookie_name = …`, not 1")
    return text


if __name__ == "__main__":
    main()
