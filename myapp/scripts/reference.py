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

`myapp-sessions INI config` shows which settings are in force, and where each value came from. This
page is printed by `python -m myapp.scripts.reference` from the tables in `myapp/settings.py` and
`myapp/sessions/core/settings.py`; a test keeps it equal to them. Each feature's settings have
[a page of their own](settings/).

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
  from and what was expected. So does an unknown name below `session.`, `database.`, `myapp.` or a
  feature's name, with the nearest known one.
- A name or a variable that looks like a misspelt one, such as `databse.migrate_on_start` or
  `DATABSE_URL`, is warned of.

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


_OF_A_FEATURE: Final = """\
# Settings of {name}

[How to write a value, and which one counts](../settings.md#which-value-counts). This page is
printed by `python -m myapp.scripts.reference {name}` from the table in `{where}/settings.py`.
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
    return "\n".join([introduction, *_at_a_glance(table), "", "## Each of them", *each])


def _at_a_glance(table: Mapping[str, Setting]) -> list[str]:
    head = ["## All at a glance", "", "| setting | environment | default |", "|---|---|---|"]
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
