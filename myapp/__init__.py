"""A Pyramid application with server-side sessions in its database."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyramid.router import Router


def main(global_config: dict[str, str], **settings: Any) -> Router:
    """The WSGI application, for pserve and any server that reads an ini file.

    A setting that can't be used, or a database without its tables, ends the process with one line
    that says what to do.
    """
    # Imported here, so that another application can include myapp.sessions without all the rest.
    from pyramid.config import Configurator

    from myapp import environment
    from myapp.database_url import parse_url, refused_folder
    from myapp.environment import SettingError, Sourced

    # <migrations>
    from myapp.migrations import migrate_if_set

    # </migrations>
    from myapp.sessions import SchemaError, get_manager
    from myapp.settings import read_application_settings
    from myapp.starting import (
        CannotStart,
        created,
        is_new_file,
        refuse_database,
        refuse_settings_of_others,
        tell_of_start,
    )

    try:
        merged = environment.merge(settings, global_config)
        own = read_application_settings(merged, os.environ)
        refuse_settings_of_others(merged)
        parsed = parse_url(own.url)
        refused = refused_folder(parsed)
        if refused is not None:
            own.reading.refuse("sqlalchemy.url", refused)
        was_new = is_new_file(own.url)
        # <migrations>
        migrate_if_set(merged, own)
        # </migrations>
        url = Sourced(own.url, own.reading.given["sqlalchemy.url"].source or "its default")
        with Configurator(settings=merged | {"sqlalchemy.url": url}) as config:
            config.registry["application_settings"] = own
            config.include("myapp.security_headers")
            config.include("myapp.models")
            config.include("myapp.sessions")
            config.include("myapp.routes")
            config.include("myapp.views")
            config.include("myapp.accounts")
            config.include("myapp.trial")
            config.include("myapp.logs")
            config.include("myapp.metrics")
        app = config.make_wsgi_app()
        manager = get_manager(app.registry)
        # Otherwise the sessions have asked the database: they may have another one, and some of a
        # URL's parameters, such as charsets and modes, are for the application alone.
        if manager.settings.url is not None or parsed.query:
            refuse_database(own)
        tell_of_start(own.url, manager.settings.cookie_name, was_new=was_new)
        return app
    except SchemaError as error:
        made = f"; {created(own.url)}" if was_new else ""
        sys.exit(f"myapp: {error}{made}")
    except (SettingError, CannotStart) as error:
        sys.exit(f"myapp: {error}")
