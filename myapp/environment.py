"""The one precedence rule for settings: environment > command line > ini > default.

`pserve`, `alembic` and every command read their settings through this module, so that one rule
holds everywhere. It must stay at the bottom of the house: it imports nothing of this project.
"""

from __future__ import annotations

import configparser
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from paste.deploy.loadwsgi import LoaderContext

log = logging.getLogger(__name__)

COMMAND_LINE: Final = "the command line or [DEFAULT]"

# The settings whose variable is not simply their name in capitals.
_VARIABLES: Final = {"sqlalchemy.url": "DATABASE_URL"}

_INTERPOLATION: Final = configparser.BasicInterpolation()

# What follows the first name in a URL without `@`, unless it is a port: somebody left out the host.
_NOT_A_PORT: Final = re.compile(
    r"^((?:[\w+.-]+://(?!/)|(?:postgres|mysql|mariadb)[\w+]*:/?(?!/))(?:\[[^\]]*\]|(?!\[)[^:/?#]*))"
    r":(?!\d{1,5}(?:[/?#]|$)).*",
    re.DOTALL,
)
# One `name=value`, whose name or value may be percent-encoded.
_PARAMETER: Final = re.compile(r"((?:^|[?&])[^?&=]*)=[^&]*")
# A URL within a sentence, up to its host at least: an unescaped password may hold a blank.
_URL: Final = re.compile(r"[\w+.-]+://(?:[^\s/@:]*:[^@]*@)?\S*")
_SECRETS: Final = ("pass", "pwd", "secret", "token", "apikey", "api_key")

# How the name of a setting ends whose value is a secret as it stands.
_SECRET_NAMES: Final = ("secret", "password")

_SHOWN: Final = 200  # characters of a value in an error


class Sourced(str):
    """A setting's value that remembers where it came from, for messages."""

    __slots__ = ("source", "told")
    source: str
    told: bool
    """Whether a warning has said that it does not count; once is enough."""

    def __new__(cls, value: str, source: str) -> Sourced:
        self = super().__new__(cls, value)
        self.source, self.told = source, False
        return self


class SettingError(Exception):
    """A setting that can't be used; the message is one line for the server's administrator."""

    def __init__(self, setting: str, value: object, source: str, expected: str) -> None:
        self.setting, self.value, self.source, self.expected = setting, value, source, expected
        text = shown(setting, value)
        if len(text) > _SHOWN:
            text = text[:_SHOWN] + "…"
        super().__init__(f"{setting} = {text} (from {source}): expected {expected}")


class UnreadableIni(Exception):
    """An ini file that describes no application, or more than one; the message is one line."""

    def __init__(self, ini: str, reason: object) -> None:
        super().__init__(" ".join(f"{ini} can't be read: {reason}".split()))


def source_of(value: object) -> str:
    """Where a value came from, in words that fit behind "from"."""
    return getattr(value, "source", "the application's settings")


def variable_for(setting: str) -> str:
    """The environment variable of a setting: `session.cookie_name` is `SESSION_COOKIE_NAME`."""
    return _VARIABLES.get(setting, setting.upper().replace(".", "_"))


def capitals(name: str) -> str:
    """A name as variables are spelt: in capitals, with underscores for everything else."""
    return re.sub(r"\W", "_", name.strip()).upper()


def merge(settings: Mapping[str, Any], global_config: Mapping[str, str]) -> dict[str, Any]:
    """The ini's settings with those of the command line over them, each with its source.

    What was typed to no effect comes along if it looks like a variable, so that those who know the
    settings can warn of it: `pserve production.ini DATABASE_URL=…`.
    """
    section = _sections(global_config)
    ini = Path(global_config.get("__file__", "the ini file")).name
    merged = {
        name: Sourced(value, f"[{section(name, value)}] of {ini}") if type(value) is str else value
        for name, value in settings.items()
    }
    useless = {
        name: Sourced(global_config[name], COMMAND_LINE)
        for name in typed_in_vain(global_config)
        if "_" in name
    }
    return useless | merged | _command_line(global_config)


def _sections(global_config: Mapping[str, str]) -> Callable[[str, str], str]:
    """Tells the section of an application in which a setting is written: PasteDeploy does not.

    If several have it, one may use another: the value decides.
    """
    parser = as_written(global_config)
    applications = [name for name in parser.sections() if re.match(r"[\w-]*app[\w-]*:", name)]

    def section_of(name: str, value: str) -> str:
        places = {each: parser[each][name] for each in applications if name in parser[each]}
        same = [each for each, text in places.items() if text == value]
        return next(iter(same or places), "app:main")

    return section_of


def as_written(global_config: Mapping[str, str]) -> configparser.RawConfigParser:
    """The ini file, in which no section inherits from [DEFAULT]; empty if it can't be read."""
    parser = configparser.RawConfigParser(strict=False, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keeps capitals
    with suppress(configparser.Error, OSError, ValueError):
        parser.read(global_config.get("__file__", ""), "utf-8")
    return parser


def unused(global_config: Mapping[str, str]) -> list[str]:
    """Global names that are no setting, and that no `%(name)s` of the ini file refers to."""
    text = ""
    with suppress(OSError, ValueError):
        text = Path(global_config.get("__file__", "")).read_text("utf-8")
    known = ("here", "__file__", "http_port")
    return [
        name
        for name in global_config
        if "." not in name and name not in known and f"%({name})s" not in text
    ]


def typed_in_vain(global_config: Mapping[str, str]) -> list[str]:
    """Those of them that are not in [DEFAULT], where other code may look for them."""
    defaults = defaults_of(as_written(global_config))
    return [name for name in unused(global_config) if name not in defaults]


def defaults_of(written: configparser.RawConfigParser) -> Mapping[str, str]:
    """Its section [DEFAULT]."""
    return written["DEFAULT"] if written.has_section("DEFAULT") else {}


def lookup(settings: Mapping[str, Any], name: str, environ: Mapping[str, str]) -> Any:
    """The value of one setting by the whole rule; None if it is not set.

    An empty variable counts as not set. A value from the command line that the environment
    overrides causes a warning, because the person who typed it expects it to count.
    """
    variable = variable_for(name)
    given = settings.get(name)
    if not environ.get(variable):
        return given
    value = Sourced(environ[variable], f"environment variable {variable}")
    # A value that `merge` or a former look-up put there is not overridden by itself.
    if isinstance(given, Sourced) and given.source == COMMAND_LINE and not given.told:
        given.told = True
        text = shown(name, given)
        log.warning("%s=%s on the command line is ignored: %s is set", name, text, variable)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An application that an ini file describes, and what a server loads around it."""

    context: LoaderContext
    """The application by itself."""
    outermost: LoaderContext
    """With the pipelines, filters and composites around it."""
    path: str
    """The path at which a composite mounts it; empty at the top, or if that is unknown."""


def load(ini: str, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings of an ini file as `pserve INI name=value` would see them, for commands.

    Raises what `application` raises.
    """
    context = application(ini, options).context
    return merge(context.local_conf, context.global_conf)


def application(ini: str, options: Mapping[str, str] | None = None) -> Described:
    """The application that `pserve INI name=value` starts, even within pipelines or filters;
    `INI#name` means `[app:name]`, which may be a part of `main`.

    Raises SettingError where a percent sign stands alone, and UnreadableIni where there is no such
    application, or where a composite runs several and nothing tells which one has the sessions.
    """
    path, _, name = ini.partition("#")
    try:
        found = _described(path, name or "main", options)
        if name not in ("", "main"):
            found = _within_main(path, found, options) or found
    except configparser.InterpolationError as error:
        # The error's own words quote the value, which may be a password's second half.
        where = f"the command line or {Path(path).name}"
        expected = "a percent sign to be written twice: %%"
        if isinstance(error, configparser.InterpolationMissingOptionError):
            expected = f"a name that the file knows, such as %(here)s, or {expected}"
        raise SettingError(error.option, "…", where, expected) from None
    except RecursionError:
        raise UnreadableIni(ini, "a section of it uses itself") from None
    except IndexError:
        raise UnreadableIni(ini, "a pipeline in it is empty") from None
    except (configparser.Error, ImportError, LookupError, OSError, ValueError) as error:
        raise UnreadableIni(ini, error) from error
    if len(found) > 1:
        # Those without a database and without settings of ours have no sessions.
        found = {name: each for name, each in found.items() if _has_sessions(each.context)} or found
    if len(found) > 1:
        names = " or ".join(f"{path}#{name}" for name in sorted(found))
        raise UnreadableIni(ini, f"it runs several applications: write {names}")
    (described,) = found.values()
    return described


def _described(path: str, name: str, options: Mapping[str, str] | None) -> dict[str, Described]:
    """The applications that are started by a name, each by its section's."""
    # Imported here, so that stores, which know settings, need no Pyramid.
    from paste.deploy import loadwsgi

    spec = f"config:{Path(path).resolve()}"
    outermost = loadwsgi.loadcontext(loadwsgi.APP, spec, name, global_conf=dict(options or {}))
    return {
        section: Described(context=context, outermost=outermost, path=below)
        for section, below, context in _applications(outermost, name, "")
    }


def _within_main(
    path: str, found: Mapping[str, Described], options: Mapping[str, str] | None
) -> dict[str, Described]:
    """The same application as what a server starts by the name `main` has it; else nothing."""
    try:
        within = _described(path, "main", options)
    except LookupError:
        return {}
    contexts = [each.context for each in found.values()]
    return {
        section: each
        for section, each in within.items()
        if any(_is_same(each.context, context) for context in contexts)
    }


def _is_same(one: LoaderContext, other: LoaderContext) -> bool:
    return bool(one.object is other.object and one.local_conf == other.local_conf)


def _applications(
    context: LoaderContext, name: str, below: str
) -> Iterator[tuple[str, str, LoaderContext]]:
    """The applications within pipelines, filters and composites, each with its section's name and
    the path below which a composite like Paste's urlmap has it.
    """
    within = getattr(context, "app_context", None) or getattr(context, "next_context", None)
    if within is not None:
        yield from _applications(within, name, below)
    elif "composit" in (context.protocol or ""):
        for key, value in context.local_conf.items():
            # What else a composite is told is no application.
            with suppress(LookupError, OSError, ValueError):
                each = context.loader.get_context(context.object_type, value, context.global_conf)
                path = key.rstrip("/") if key.startswith("/") else ""
                yield from _applications(each, value, below + path)
    else:
        yield name, below, context


def _has_sessions(context: LoaderContext) -> bool:
    named = ("sqlalchemy.url", "session.")
    return any(key.startswith(named) for key in context.local_conf)


def _command_line(global_config: Mapping[str, str]) -> dict[str, Sourced]:
    """The values given to pserve as `name=value`.

    pserve hands them on as global values, among those of `[DEFAULT]`, which it cannot tell apart
    and neither can we; only dotted names are settings.
    """
    return {
        name: Sourced(_interpolated(global_config, name), COMMAND_LINE)
        for name in global_config
        if "." in name
    }


def _interpolated(global_config: Mapping[str, str], name: str) -> str:
    """A global value as the ini file would mean it, with `%%` for `%`."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keeps capitals
    parser.read_dict({"global": global_config})
    plain = parser["global"]
    try:
        return _INTERPOLATION.before_get(parser, "global", name, plain[name], plain)
    except configparser.InterpolationError:
        return global_config[name]  # one of [DEFAULT], which is interpolated already


def parse_bool(text: str) -> bool:
    """true, yes, on, 1 and their opposites, in any case. Raises ValueError."""
    words = {
        **dict.fromkeys(("true", "yes", "on", "1"), True),
        **dict.fromkeys(("false", "no", "off", "0"), False),
    }
    try:
        return words[text.lower()]
    except KeyError:
        raise ValueError("not a boolean") from None


def shown(setting: str, value: object) -> str:
    """A setting's value as one line, without the password that it is, or that a URL may hold."""
    is_secret = bool(value) and setting.lower().endswith(_SECRET_NAMES)
    return "***" if is_secret else printable(value)


def printable(value: object) -> str:
    """A value as one line, without the password that a URL may hold."""
    text = _without_password(str(value))
    return text if text.isprintable() and text and text.strip() == text else repr(text)


def without_passwords(sentence: str) -> str:
    """Somebody else's words, without the passwords that URLs in them may hold."""
    return _URL.sub(lambda url: _without_password(url[0]), sentence)


def _without_password(text: str) -> str:
    """The text, whose passwords are asterisks: better too much is hidden than too little.

    Between the user's name and the last `@`, since an unescaped password may hold one too.
    """
    head, at, tail = text.rpartition("@")
    hidden = re.sub(r":(?!//).*", ":***", head, flags=re.DOTALL) + at + tail
    if not at:
        hidden = _NOT_A_PORT.sub(r"\1:***", text)
    return _PARAMETER.sub(_without_secret, hidden)


def _without_secret(parameter: re.Match[str]) -> str:
    plain = unquote(parameter[0]).lower()
    return f"{parameter[1]}=***" if any(word in plain for word in _SECRETS) else parameter[0]
