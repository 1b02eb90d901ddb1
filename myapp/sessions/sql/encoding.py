"""Which characters a database and a connection can hold.

Text travels as Unicode. PostgreSQL turns it into the encoding of the database, and refuses what
that lacks: nobody's user agent is to be an error.
"""

from __future__ import annotations

import codecs
from typing import Any, Final

_UTF8: Final = ("UTF8", "UTF-8")


def codec_of(driver: Any) -> str | None:
    """Python's name for the encoding of a PostgreSQL database; None where it holds everything."""
    ask = getattr(getattr(driver, "info", None), "parameter_status", None)
    name = None if ask is None else ask("server_encoding")
    if name is None or name in _UTF8:
        return None
    try:
        return codecs.lookup(name.replace("WIN", "cp")).name
    except LookupError:
        return "ascii"


def encodable(text: str | None, codec: str) -> str | None:
    """The text with question marks for what the codec lacks."""
    return None if text is None else text.encode(codec, "replace").decode(codec)


def is_unicode(driver_name: str, driver: Any) -> bool:
    """Whether every character can travel on a connection of the application's."""
    if driver_name == "pymysql":
        return bool(driver.charset == "utf8mb4")
    if driver_name == "mysqldb":
        return bool(driver.character_set_name() == "utf8mb4")
    if driver_name == "psycopg":
        return bool(codecs.lookup(driver.info.encoding).name == "utf-8")
    return True
