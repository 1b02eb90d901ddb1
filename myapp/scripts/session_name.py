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
    r"^(session\.cookie_name *= *)((?:__Host-|__Secure-)?)\S*$", re.MULTILINE | re.IGNORECASE
)


def new_name() -> str:
    """`session_` and 8 random characters of a-z and 0-9."""
    alphabet = string.ascii_lowercase + string.digits
    return "session_" + "".join(secrets.choice(alphabet) for _ in range(8))


@click.command()
@click.argument("files", metavar="INI…", nargs=-1, required=True, type=click.Path(exists=True))
def main(files: tuple[str, ...]) -> None:
    """Write a fresh session cookie name into these ini files, the same into each."""
    name = new_name()
    for file in files:
        path = Path(file)
        text, count = _LINE.subn(rf"\g<1>\g<2>{name}", path.read_text("utf-8"))
        if count != 1:
            raise click.ClickException(f"{file} has {count} lines `session.cookie_name = …`, not 1")
        path.write_text(text, "utf-8")
    click.echo(f"session.cookie_name is now {name} in {', '.join(files)}")


if __name__ == "__main__":
    main()
