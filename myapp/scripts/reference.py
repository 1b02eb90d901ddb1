"""Prints docs/reference/settings.md: `python -m myapp.scripts.reference`.

The page says what the tables in `myapp.settings` and `myapp.sessions.core.settings` say, and a test
compares them (C4). With the name of a feature it prints that feature's own page, so that the page
of all stays true when the feature is taken out.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import Final

from myapp import features, settings
from myapp.environment import variable_for
from myapp.sessions.core import settings as session_settings
from myapp.sessions.moving import settings as moving_settings
from myapp.setting_table import Setting

APPLICATION: Final[Mapping[str, Setting]] = settings.TABLE
"""The application's settings by their whole names."""

SESSIONS: Final[Mapping[str, Setting]] = {
    f"session.{name}": setting for name, setting in session_settings.TABLE.items()
}
"""The first session manager's settings by their whole names."""

FEATURES: Final[Mapping[str, Mapping[str, Setting]]] = {
    module.__name__.split(".")[1]: module.TABLE for module in features.modules("settings")
}
"""The settings of each feature by its name."""

MOVING: Final[Mapping[str, Setting]] = {
    f"moving.{name}": setting for name, setting in moving_settings.TABLE.items()
}
"""The settings for the time of a move, by their whole names."""

_INTRODUCTION: Final = """\
# Settings

`myapp-sessions INI config` shows which settings are in force, and where each value came from. Each
feature's settings have [a page of their own](settings/). `python -m myapp.scripts.reference` prints
this page from the tables in `myapp/settings.py` and `myapp/sessions/core/settings.py`; a test
compares them.

## Which value counts

**environment > `pserve FILE.ini name=value` > `[app:main]` > default**

The rule is the same for `pserve`, `alembic` (`-x name=value`, `-x ini=FILE.ini`) and
`myapp-sessions` (`--set name=value`).

- The environment variable of a setting is its name in capitals with underscores; for
  `sqlalchemy.url` it is `DATABASE_URL`. An empty variable counts as not set.
- The settings of another session manager have its prefix: `admin_session.lifetime`,
  `ADMIN_SESSION_LIFETIME`.
- If a variable overrides a value on the command line, a warning says so.
- If a value can't be used, the application does not start. One line names the setting, the value,
  where it came from and what was expected. The same happens if a name begins with `session.`,
  `database.`, `myapp.` or the name of a feature but is unknown; the line suggests the nearest one.
- A name or a variable that looks misspelt, such as `databse.migrate_on_start` or `DATABSE_URL`,
  causes a warning. So does a variable in small letters, and one after the command:
  `pserve production.ini DATABASE_URL=…`.

## How to write a value

- **Durations** are numbers with `w`, `d`, `h`, `m` or `s`, in any combination: `1w`, `90s`,
  `1h30m`. A number alone means seconds. The longest is 400 days, since browsers keep a cookie no
  longer; zero is refused.
- **Sizes** are bytes, `KiB` or `MiB`: `4096`, `64 KiB`, `1 MiB`.
- **Booleans** are `true`, `yes`, `on`, `1` and `false`, `no`, `off`, `0`.
- **A percent sign** is written twice in an ini file and on the command line, and once in the
  environment. A password with an `@` in it is `p%40ss` in a URL:

      sqlalchemy.url = postgresql://user:p%%40ss@host/database
      pserve production.ini sqlalchemy.url=postgresql://user:p%%40ss@host/database
      DATABASE_URL=postgresql://user:p%40ss@host/database pserve production.ini
"""


_OF_A_FEATURE: Final = """\
# Settings of {name}

[How to write a value, and which one counts](../settings.md#which-value-counts).
`python -m myapp.scripts.reference {name}` prints this page from the table in `{where}/settings.py`.
"""


def page() -> str:
    """The page of the application and its sessions, as Markdown."""
    return "\n".join(
        [
            _INTRODUCTION,
            *_at_a_glance({**APPLICATION, **SESSIONS}),
            *("", "## The application", *(_section(*pair) for pair in APPLICATION.items())),
            *("", "## Sessions", *(_section(*pair) for pair in SESSIONS.items())),
        ]
    )


def page_of(name: str) -> str:
    """The page of a feature, or of a move, as Markdown."""
    table = MOVING if name == "moving" else FEATURES[name]
    each = (_section(*pair) for pair in table.items())
    where = "myapp/sessions/moving" if name == "moving" else f"myapp/{name}"
    introduction = _OF_A_FEATURE.format(name=name, where=where)
    return "\n".join([introduction, *_at_a_glance(table), "", "## Details", *each])


def _at_a_glance(table: Mapping[str, Setting]) -> list[str]:
    head = ["## At a glance", "", "| setting | environment | default |", "|---|---|---|"]
    rows = (f"| `{n}` | `{variable_for(n)}` | {_default(row)} |" for n, row in table.items())
    return [*head, *rows]


def _section(name: str, row: Setting) -> str:
    items = (
        f"- Default: {_default(row)}",
        f"- Expected: {row.expected}",
        f"- Environment: `{variable_for(name)}`",
        f"- When to change it: {row.when}",
    )
    text = "\n".join(map(_wrapped, items))
    return f"\n### `{name}`\n\n{_wrapped(row.help)}\n\n{text}"


def _wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False)


def _default(row: Setting) -> str:
    return f"`{row.default}`" if row.default else row.default_in_words


if __name__ == "__main__":
    print(*map(page_of, sys.argv[1:]) if sys.argv[1:] else [page()], sep="\n")
