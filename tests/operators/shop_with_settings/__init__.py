"""Somebody's application, as in own_app, in a package with modules that are not for us."""

from tests.operators.own_app import main as own_main


def main(global_config: dict[str, str], **settings: str) -> object:
    """The WSGI application."""
    return own_main(global_config, **settings)
