"""A table of settings, and the one way to read it.

The application has such a table and so has each kind of session; a table is the single source of
what its settings are (C4). This module must stay at the bottom of the house: of this project it
imports the precedence rule and nothing else.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

from myapp import environment
from myapp.environment import SettingError, parse_bool

log = logging.getLogger(__name__)

# How alike two variables must be for one to be taken for the other misspelt. DATABASE_USER and
# DATABASE_URL are alike to 0.88, and a tool may well have the former.
_CLOSE: Final = 0.9

INCLUDED: Final = "myapp.included"
"""Where an application notes which packages with a table of settings it has included."""

# What does not count around a value. Another control character may be an attack, and is refused.
_BLANKS: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of a table: what it is, its default, what is expected of it, when to change it.

    An empty value is refused unless it is the default; `required` refuses it even then.
    """

    name: str
    default: str
    parse: Callable[[str], Any]
    expected: str
    help: str
    when: str
    required: bool = False

    @property
    def default_in_words(self) -> str:
        """The default, as pages and ini files name it."""
        return "none" if self.required else self.default or "empty"


def note_included(registry: MutableMapping[str, Any], package: str) -> None:
    """Let the commands of operators know that an application has included a feature.

    The package's module `settings` has the feature's TABLE; `registry` is Pyramid's.
    """
    registry.setdefault(INCLUDED, []).append(package)


def bool_setting(name: str, default: str, help: str, when: str) -> Setting:
    """A row that is true or false."""
    return Setting(name, default, parse_bool, "true or false", help, when)


class Expected(ValueError):
    """Raised by a parser that can say better than its row what was expected."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        super().__init__(f"expected {expected}")


@dataclass(frozen=True, slots=True)
class Given:
    """What one setting was set to: its text, what that means, and where it came from.

    `value` is None where nothing was given and the default is empty; `source` is None where the
    text is the default.
    """

    # Either may hold the password of a URL.
    text: str = field(repr=False)
    value: Any = field(repr=False)
    source: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The settings of a table as they were read, each with its source. Not to be changed."""

    prefix: str
    given: Mapping[str, Given]

    def values(self) -> dict[str, Any]:
        """What each setting means, by its name in the table."""
        return {name: given.value for name, given in self.given.items()}

    def listed(self) -> Iterator[tuple[str, str, str]]:
        """Each setting's whole name, its text and its source, in the order of the table."""
        for name, given in self.given.items():
            yield self.prefix + name, given.text, given.source or "default"

    def inheriting(self, name: str, other: Reading) -> Reading:
        """The same, with one setting as another reading has it."""
        inherited = replace(other.given[name], source=other.prefix + name)
        return replace(self, given={**self.given, name: inherited})

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raise SettingError for a value that was parsed, and can't be used all the same."""
        given = self.given[name]
        raise _refusal(self.prefix + name, given.text, given.source, expected)


def read_table(
    table: Mapping[str, Setting],
    settings: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    prefix: str = "",
    owned: tuple[str, ...],
) -> Reading:
    """Look up and parse each setting of a table, whose names follow `prefix`.

    What begins with one of `owned` and is not in the table is refused. Raises SettingError, whose
    message names the setting, its value, where that came from and what was expected (C2).
    """
    _refuse_unknown(table, settings, prefix, owned)
    warn_of_keys([prefix + name for name in table], settings)
    _warn_of_variables(table, environ, prefix)
    given = {name: read_setting(row, settings, environ, prefix) for name, row in table.items()}
    return Reading(prefix, given)


def read_setting(
    row: Setting, settings: Mapping[str, Any], environ: Mapping[str, str], prefix: str = ""
) -> Given:
    """Look up and parse one setting. Raises SettingError."""
    name = prefix + row.name
    found = environment.lookup(settings, name, environ)
    source = None if found is None else environment.source_of(found)
    # Settings given in Python may be bool or int. Blanks and newlines around a value come from
    # files and shells, and mean nothing.
    text = row.default if found is None else str(found).strip(_BLANKS)
    if text == row.default == "" and not row.required:
        return Given(text, None, source)
    try:
        return Given(text, row.parse(text), source)
    except Expected as error:
        raise _refusal(name, text, source, error.expected) from None
    except ValueError:
        raise _refusal(name, text, source, row.expected) from None


def _refusal(name: str, text: str, source: str | None, expected: str) -> SettingError:
    return SettingError(name, text, source or "its default", expected)


def _refuse_unknown(
    table: Mapping[str, Setting], settings: Mapping[str, Any], prefix: str, owned: tuple[str, ...]
) -> None:
    # Compared as variables, so that capitals count for nothing and `database.url` is near to what
    # DATABASE_URL sets.
    known = {environment.variable_for(prefix + name): prefix + name for name in table}
    for key, value in settings.items():
        if key.startswith(owned) and key not in known.values():
            variable = environment.variable_for(key)
            (nearest,) = difflib.get_close_matches(variable, known, n=1, cutoff=0)
            expected = f"a known setting; the nearest is {known[nearest]}"
            raise SettingError(key, value, environment.source_of(value), expected)


def warn_of_keys(names: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Warn of a key that looks like a misspelt setting, such as `databse.migrate_on_start`, or that
    is its variable, such as `DATABASE_URL`.

    It is not an error, because other packages have settings of their own.
    """
    known = _spellings(names)
    for key in settings:
        if key.endswith(tuple(names)):
            continue  # or it is another kind of session's: admin_session.lifetime
        if near := _near(key, known):
            source = environment.source_of(settings[key])
            log.warning("%s (from %s) is unknown; did you mean %s?", key, source, near)


def _warn_of_variables(
    table: Mapping[str, Setting], environ: Mapping[str, str], prefix: str
) -> None:
    """Warn of a variable that looks like a misspelt setting, such as SESSION_LIFETIM, or
    database_url in small letters.

    It is not an error, because desktops and tools have variables that look alike.
    """
    names = [prefix + name for name in table]
    variables = {name: environment.variable_for(name) for name in names}
    known = {spelling: variables[name] for spelling, name in _spellings(names).items()}
    # Another manager's variables have another prefix, and may be very much like ours.
    start = environment.variable_for(prefix)
    for variable in environ:
        if not variable.upper().startswith(start) or variable in variables.values():
            continue
        if near := _near(variable, known):
            log.warning("environment variable %s is unknown; did you mean %s?", variable, near)


def _spellings(names: Iterable[str]) -> dict[str, str]:
    """How each setting may be spelt in capitals with underscores: as its variable, and as it is."""
    return {
        spelling: name
        for name in names
        for spelling in (environment.variable_for(name), environment.capitals(name))
    }


def _near(word: str, known: Mapping[str, str]) -> str | None:
    """What a misspelt word stands for, capitals and punctuation apart."""
    near = difflib.get_close_matches(environment.capitals(word), known, n=1, cutoff=_CLOSE)
    return known[near[0]] if near else None
