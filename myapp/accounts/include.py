"""Where the parts of accounts meet."""

from __future__ import annotations

import os
from functools import partial

from pyramid.config import Configurator
from pyramid.registry import Registry

from myapp.accounts import mail
from myapp.accounts.link_addresses import link_to
from myapp.accounts.mailer import Mailer
from myapp.accounts.outbox import Sender
from myapp.accounts.parts import REGISTRY_KEY, Accounts
from myapp.accounts.passwords import Passwords
from myapp.accounts.policy import AccountPolicy, Root
from myapp.accounts.settings import AccountSettings, read_account_settings
from myapp.accounts.throttle import Throttle
from myapp.database import create_database_engine, read_pooler
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.web.headers import REGISTRY_KEY as SESSIONS_KEY
from myapp.setting_table import note_included


def includeme(config: Configurator) -> None:
    """Set the security policy, add the pages, and start sending mails.

    Reads the settings `accounts.*`. Raises SettingError for one that can't be used, and for
    mails that are to be sent without `accounts.url`.
    """
    settings = read_account_settings(config.get_settings(), os.environ)
    note_included(config.registry, "myapp.accounts")
    parts = config.registry[REGISTRY_KEY] = make_parts(config.registry, settings)
    # Its thread starts in each process as the sweeper's does, with the first request.
    config.registry[SESSIONS_KEY].companions.append(parts.mailer)
    config.set_security_policy(AccountPolicy())
    config.set_root_factory(Root)
    config.add_jinja2_search_path("myapp.accounts:templates")
    config.include("myapp.accounts.views")


def make_parts(registry: Registry, settings: AccountSettings) -> Accounts:
    """What the views work with, for one application."""
    pooler = read_pooler(registry.settings, os.environ)
    # What is committed apart from the requests has connections of its own: a request that holds
    # one of the application's would otherwise wait for another.
    engine = create_database_engine(
        registry.settings["sqlalchemy.url"], pooler=pooler, pool_size=2, max_overflow=6
    )
    transport, clock = mail.from_settings(settings), SteadyClock()
    sender = Sender(engine, settings, transport, partial(link_to, registry), clock)
    return Accounts(
        settings=settings,
        engine=engine,
        passwords=Passwords(settings.password_min, words=("myapp",)),
        throttle=Throttle(engine, settings.throttle),
        mailer=Mailer(sender),
        clock=clock,
    )
