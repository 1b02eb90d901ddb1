"""Accounts: signing up, in and out, forgotten passwords, and one's devices.

`config.include("myapp.accounts")` is all that the application needs. Without that line, this folder
and its tests, the rest runs, with sessions that are nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """See `myapp.accounts.include`; migrations read the models alone, and need none of that."""
    config.include("myapp.accounts.include")
