"""Every setting of the log: `TABLE` is the single source, as for the application's own (C4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from myapp.setting_table import Setting, bool_setting, read_table

Format = Literal["text", "keyvalue", "json"]

_FORMATS: Final[tuple[Format, ...]] = ("text", "keyvalue", "json")


def _format(text: str) -> Format:
    return _FORMATS[_FORMATS.index(text.lower())]


_ROWS: Final = (
    Setting(
        "logs.format",
        "text",
        _format,
        "text, keyvalue or json",
        "The format of log lines. text: as the ini file's [formatters] define, with the fields"
        " after the message. keyvalue and json: fields only.",
        "Choose keyvalue or json if a program reads the log.",
    ),
    bool_setting(
        "logs.sessions",
        "true",
        "Log a line, at INFO, whenever a session starts, is renewed or ends.",
        "Set it to false if visitors start too many sessions.",
    ),
    bool_setting(
        "logs.access",
        "false",
        "Log a line, at INFO, for each request; links from mails are masked.",
        "Set it to true if no proxy in front keeps an access log.",
    ),
)

TABLE: Final[Mapping[str, Setting]] = {setting.name: setting for setting in _ROWS}
"""The settings by name, in the order of the ini files and the reference."""

OWNED: Final = ("logs.",)
"""Names that begin like this are ours; one that is not in the table is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The settings of the log, parsed."""

    format: Format
    sessions: bool
    access: bool


def read_log_settings(settings: Mapping[str, Any], environ: Mapping[str, str]) -> LogSettings:
    """Raises SettingError for the first setting that can't be used, or is unknown (C2)."""
    values = read_table(TABLE, settings, environ, owned=OWNED).values()
    return LogSettings(**{name.removeprefix("logs."): value for name, value in values.items()})
