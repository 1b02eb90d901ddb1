"""What is asked before a codebase is made; the manifest keeps it for updates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

DATABASES: Final = ("sqlite", "postgresql", "mariadb")
LICENCES: Final = ("none", "MIT")


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
