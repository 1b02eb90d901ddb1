"""The pages of accounts. Each works without JavaScript, and changes nothing by a GET."""

from __future__ import annotations

from pyramid.config import Configurator

from myapp.accounts.parts import REGISTRY_KEY


def includeme(config: Configurator) -> None:
    """Add the pages; those that can't work without mails are not there without them."""
    settings = config.registry[REGISTRY_KEY].settings
    config.include("myapp.accounts.views.sign_in")
    config.include("myapp.accounts.views.account")
    config.include("myapp.accounts.views.devices")
    config.include("myapp.accounts.views.administration")
    config.scan("myapp.accounts.views.refused")
    if settings.takes_sign_ups:
        config.include("myapp.accounts.views.sign_up")
    if settings.sends:
        config.include("myapp.accounts.views.confirming")
        config.include("myapp.accounts.views.reset")
    if settings.show_mail:
        config.include("myapp.accounts.views.printed_mail")
