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
    r"^(session\.cookie_name *= *)((?:__Host-Http-|__Host-|__Http-|__Secure-)?)(\S*)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)


SHIPPED: Final = "session_k3v9q7xw"
"""The name in every clone, until it is replaced."""


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
@click.option("--force", is_flag=True, help="Replace the name even if it is not the shipped one.")
def main(files: tuple[Path, ...], force: bool) -> None:
    """Write a new session cookie name into these ini files, the same into each.

    Do this before the first deployment only: a new name signs everybody out.
    """
    name = new_name()
    # All are looked at before one is written, so that they never differ.
    changed = {path: _renamed(path, name, force=force) for path in files}
    for path, text in changed.items():
        path.write_text(text, "utf-8")
    click.echo(f"session.cookie_name is now {name} in {', '.join(map(str, files))}")


def _renamed(path: Path, name: str, *, force: bool) -> str:
    """What the file is to hold; its cookie name keeps a prefix such as `__Host-`."""
    before = path.read_text("utf-8")
    found = _LINE.findall(before)
    if len(found) != 1:
        raise click.ClickException(
            f"{path} has {len(found)} lines `session.cookie_name = …`, not 1"
        )
    if found[0][2] != SHIPPED and not force:
        raise click.ClickException(
            f"session.cookie_name = {found[0][2]} (from {path}): expected the shipped name,"
            f" {SHIPPED}; --force replaces it, which signs everybody out"
        )
    return _LINE.sub(rf"\g<1>\g<2>{name}", before)


if __name__ == "__main__":
    main()
