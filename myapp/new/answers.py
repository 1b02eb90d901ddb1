"""The answers that define a codebase; the manifest keeps them for updates."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Final

DATABASES: Final = ("sqlite", "postgresql", "mariadb")
LICENCES: Final = ("none", "MIT")

PACKAGE: Final = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
_COOKIE: Final = re.compile("[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One codebase."""

    package: str
    title: str
    cookie_name: str
    year: int
    holder: str
    features: tuple[str, ...] = ()
    database: str = "sqlite"
    migrations: bool = True
    licence: str = "none"
    require_sessions: bool = False

    def conditions(self) -> set[str]:
        """The names between markers whose lines stay."""
        return {
            *self.features,
            self.database,
            "migrations" if self.migrations else "no migrations",
            "required" if self.require_sessions else "embedded",
        }

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Answers:
        """From the manifest. Raises TypeError for what is not there, or is unknown."""
        return cls(**{**value, "features": tuple(value["features"])})

    def refused(self) -> str | None:
        """What is wrong with answers from a file: they become paths and code."""
        good = {
            "package": isinstance(self.package, str) and PACKAGE.fullmatch(self.package),
            "cookie_name": isinstance(self.cookie_name, str)
            and _COOKIE.fullmatch(self.cookie_name),
            "title": _is_line(self.title),
            "holder": _is_line(self.holder),
            "year": isinstance(self.year, int),
            "features": all(isinstance(each, str) for each in self.features),
            "database": self.database in DATABASES,
            "licence": self.licence in LICENCES,
            "migrations": isinstance(self.migrations, bool),
            "require_sessions": isinstance(self.require_sessions, bool),
        }
        bad = [name for name, is_good in good.items() if not is_good]
        return f"{bad[0]} can't be {getattr(self, bad[0])!r:.60}" if bad else None


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()
