"""The format of log lines, safe for any text in them.

A record is one line, or its further lines are indented: a user agent with a line break can't forge
one, and one with a terminal's escapes can't move the cursor of whoever reads it.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from myapp.logs.masking import Masking
from myapp.logs.settings import Format

SHOWS_LINKS: Final = "shows_links"
"""The field of a record that is meant to show a link, such as a mail printed for a developer."""

# Every other attribute of a record is a field: logging adds the keys of `extra` to its own.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName", "color_message", SHOWS_LINKS)
}

# Controls but for tab and line feed, what other programs take for a line's end, what turns the
# direction of writing, and halves of characters, which no file can be written with.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BARE: Final = re.compile(r"[\w.:/@+,*~-]+", re.ASCII)
_NAME: Final = re.compile(r"[^\w.]", re.ASCII)


class TextFormatter(logging.Formatter):
    """What another formatter makes of a record, made safe, with the fields behind the message."""

    def __init__(self, inner: logging.Formatter, masking: Masking) -> None:
        super().__init__()
        self.inner, self._masking = inner, masking

    def format(self, record: logging.LogRecord) -> str:
        """The text; lines after the first are indented."""
        first, *others = self.inner.format(record).split("\n")
        fields = " ".join(_pairs(fields_of(record)))
        text = "\n    ".join([f"{first} {fields}" if fields else first, *others])
        return escaped(_masked(text, record, self._masking))


class FieldsFormatter(logging.Formatter):
    """Nothing but fields, on one line: as JSON, or as pairs of key and value."""

    def __init__(self, inner: logging.Formatter, masking: Masking, *, as_json: bool) -> None:
        super().__init__()
        self.inner, self._masking, self._as_json = inner, masking, as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        standard = self._standard(record)
        # Nobody gives a line another time or level by what they log.
        given = {
            f"{name}_" if name in standard else name: value
            for name, value in fields_of(record).items()
        }
        fields = {
            name: _masked(value, record, self._masking) if isinstance(value, str) else value
            for name, value in (standard | given).items()
        }
        return json.dumps(fields) if self._as_json else " ".join(_pairs(fields))

    def _standard(self, record: logging.LogRecord) -> dict[str, Any]:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return fields


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The values that were passed as `extra`, in simple types; None is left out."""
    return {
        name: value if isinstance(value, int) or _is_finite(value) else str(value)
        for name, value in vars(record).items()
        if name not in _STANDARD and value is not None
    }


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)  # JSON has no word for the others


def escaped(text: str) -> str:
    """A text that no terminal obeys and no reader takes for another number of lines."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _masked(text: str, record: logging.LogRecord, masking: Masking) -> str:
    return text if getattr(record, SHOWS_LINKS, False) else masking(text)


def _pairs(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        if not _BARE.fullmatch(text):
            text = escaped(json.dumps(text, ensure_ascii=False))
        yield f"{_NAME.sub('_', name)}={text}"


def take_over(format: Format, masking: Masking) -> None:
    """Let every handler that there is write its lines in this format.

    One whose formatter is of a class of somebody's own keeps it: they know what they want.
    """
    for handler in _handlers():
        inner = getattr(handler.formatter, "inner", handler.formatter) or logging.Formatter()
        if type(inner) is logging.Formatter:
            handler.setFormatter(_formatter(format, inner, masking))


def _formatter(format: Format, inner: logging.Formatter, masking: Masking) -> logging.Formatter:
    if format == "text":
        return TextFormatter(inner, masking)
    return FieldsFormatter(inner, masking, as_json=format == "json")


def _handlers() -> list[logging.Handler]:
    """Those of all loggers: a server's own, such as gunicorn's, are not the root's."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    found = [each.handlers for each in loggers if isinstance(each, logging.Logger)]
    return [handler for handlers in found for handler in handlers]
