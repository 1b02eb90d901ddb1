"""Accounts: signing up, in and out, forgotten passwords, and a user's devices.

The application only needs `config.include("myapp.accounts")`. If you remove that line, this folder
and its tests, the rest still runs, with anonymous sessions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """See `myapp.accounts.include`; migrations read the models alone, and need none of that."""
    config.include("myapp.accounts.include")
