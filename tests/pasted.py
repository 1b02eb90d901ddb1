"""What an ini file of PasteDeploy may be made of, beside applications with sessions."""

from __future__ import annotations

from typing import Any


def filter_(app: Any, global_config: dict[str, str], **settings: str) -> Any:
    """Changes nothing."""
    return app


def composite(loader: Any, global_config: dict[str, str], **settings: str) -> Any:
    """Several applications; here none is ever started."""
    raise NotImplementedError


def static(global_config: dict[str, str], **settings: str) -> Any:
    """An application without sessions."""
    raise NotImplementedError
