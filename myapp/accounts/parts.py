"""What the views of accounts work with: made once, kept in Pyramid's registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyramid.request import Request
from sqlalchemy import Engine

from myapp.accounts.mailer import Mailer
from myapp.accounts.passwords import Passwords
from myapp.accounts.settings import AccountSettings
from myapp.accounts.throttle import Throttle
from myapp.sessions.core.lifetime import Clock

REGISTRY_KEY: Final = "accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The parts of the feature, for one application."""

    settings: AccountSettings
    engine: Engine
    """For what is committed apart from the requests' transactions."""
    passwords: Passwords
    throttle: Throttle
    mailer: Mailer
    clock: Clock

    def close(self) -> None:
        """Stop the sender of mails, and close what it and the throttle are connected to."""
        self.mailer.stop()
        self.engine.dispose()


def parts_of(request: Request) -> Accounts:
    """The parts of the application that a request came to."""
    parts: Accounts = request.registry[REGISTRY_KEY]
    return parts
