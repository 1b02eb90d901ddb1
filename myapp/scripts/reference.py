"""Prints docs/reference/settings.md: `python -m myapp.scripts.reference`.

The page says what the table in `myapp.sessions.core.settings` says, and a test compares the two (C4).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from myapp.environment import variable_for
from myapp.sessions.core.settings import TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting as the page shows it; the texts but `name` and `variable` may hold Markdown."""

    name: str
    variable: str
    default: str
    accepts: str
    help: str
    when: str


# The settings of this application, which no table of the session package knows.
APPLICATION: Final = (
    Row(
        name="sqlalchemy.url",
        variable=variable_for("sqlalchemy.url"),
        default="sqlite:///%(here)s/myapp.sqlite",
        accepts="any SQLAlchemy URL but in-memory SQLite; `postgres://`, `postgresql://`,"
        " `mysql://` and `mariadb://` stand for the drivers that come with myapp",
        help="The database, by its SQLAlchemy URL.",
        when="For anything but SQLite. The default is the line in both ini files: without any"
        " value the start fails.",
    ),
    Row(
        name="database.migrate_on_start",
        variable=variable_for("database.migrate_on_start"),
        default="false",
        accepts="true or false",
        help="Bring the database up to date when the application starts, else run"
        " `alembic upgrade head`.",
        when="Off where the application's database user may not change tables.",
    ),
    Row(
        name="myapp.hsts",
        variable=variable_for("myapp.hsts"),
        default="false",
        accepts="true or false",
        help="Tell browsers to use HTTPS for this host and its subdomains during the next year.",
        when="Turn it on once all of them have it, since it can't be taken back.",
    ),
)

_INTRODUCTION: Final = """\
# Settings

Printed by `python -m myapp.scripts.reference` from the table in `myapp/sessions/core/settings.py`; a
test keeps the two equal. `myapp-sessions INI config` shows what is in force, and where each value
came from.

## Which value counts

**environment > `pserve FILE.ini name=value` > `[app:main]` > default**

The rule is the same for `pserve`, `alembic` (`-x name=value`, `-x ini=FILE.ini`) and
`myapp-sessions` (`--set name=value`).

- A setting's variable is its name in capitals with underscores, but `DATABASE_URL` for
  `sqlalchemy.url`. An empty variable counts as not set.
- A further manager's settings have its own prefix: `admin_session.lifetime`,
  `ADMIN_SESSION_LIFETIME`.
- A value on the command line that a variable overrides is warned of.
- A value that can't be used stops the start with one line: the setting, the value, where it came
  from and what is accepted. So does an unknown name below `session.`, with the nearest known one. A
  variable that looks like a misspelt one is warned of.

## How to write a value

- **Durations** are numbers with `w`, `d`, `h`, `m` or `s`, in any combination: `1w`, `90s`,
  `1h30m`. A number alone is seconds. Neither zero nor more than 400 days, which is as long as
  browsers keep a cookie.
- **Sizes** are bytes, `KiB` or `MiB`: `4096`, `64 KiB`, `1 MiB`.
- **Booleans** are `true`, `yes`, `on`, `1` and `false`, `no`, `off`, `0`.
- **A percent sign** is written twice in an ini file and on the command line, and once in the
  environment. A password with an `@` in it is `p%40ss` in a URL:

      sqlalchemy.url = postgresql://user:p%%40ss@host/database
      pserve production.ini sqlalchemy.url=postgresql://user:p%%40ss@host/database
      DATABASE_URL=postgresql://user:p%40ss@host/database pserve production.ini
"""


def rows() -> Iterator[Row]:
    """The settings of sessions, in the order of the table."""
    for setting in TABLE.values():
        yield Row(
            name=f"session.{setting.name}",
            variable=variable_for(f"session.{setting.name}"),
            default=setting.default,
            accepts=setting.accepts,
            help=setting.help,
            when=setting.when,
        )


def page() -> str:
    """The whole page, as Markdown."""
    every = [*APPLICATION, *rows()]
    return "\n".join(
        [
            _INTRODUCTION,
            *("## All at a glance", "", "| setting | environment | default |", "|---|---|---|"),
            *(f"| `{row.name}` | {_code(row.variable, '')} | {_default(row)} |" for row in every),
            *("", "## The application", *map(_section, APPLICATION)),
            *("", "## Sessions", *map(_section, rows())),
        ]
    )


def _section(row: Row) -> str:
    items = (
        f"- Default: {_default(row)}",
        f"- Accepted: {row.accepts}",
        f"- Environment: {_code(row.variable, 'none')}",
        f"- When to change it: {row.when}",
    )
    text = "\n".join(map(_wrapped, items))
    return f"\n### `{row.name}`\n\n{_wrapped(row.help)}\n\n{text}"


def _wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False)


def _default(row: Row) -> str:
    return _code(row.default, "empty")


def _code(text: str, otherwise: str) -> str:
    return f"`{text}`" if text else otherwise


if __name__ == "__main__":
    print(page())
