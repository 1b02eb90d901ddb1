"""Every setting of the application itself; those of sessions are in `myapp.sessions.core.settings`.

`TABLE` is the single source: the ini files, the reference page and `myapp-sessions INI config`
are tested against it (C4).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from myapp import database
from myapp.environment import source_of
from myapp.sessions.core.settings import A_TABLE_NAME, TABLE_NAME
from myapp.setting_table import Reading, Setting, bool_setting, read_table, warn_of_keys

log = logging.getLogger(__name__)


# <migrations>
def _version_table(text: str) -> str:
    if not re.fullmatch(TABLE_NAME, text):
        raise ValueError("not a name")
    return text


VERSION_TABLE_SETTING: Final = Setting(
    "database.version_table",
    "alembic_version",
    _version_table,
    A_TABLE_NAME,
    "Name of the table in which alembic records the database's revision.",
    "Change it if several applications share a database: each needs its own version table and its"
    " own session.table.",
)
"""The row that migrations read, too."""
# </migrations>

_ROWS: Final = (
    database.URL_SETTING,
    # <migrations>
    bool_setting(
        "database.migrate_on_start",
        "false",
        "Migrate the database when the application starts. If it is off, run `alembic upgrade"
        " head`.",
        "Leave it off if the application's database user may not change tables.",
    ),
    VERSION_TABLE_SETTING,
    # </migrations>
    bool_setting(
        "myapp.hsts",
        "false",
        "Tell browsers to use HTTPS for this host and its subdomains for the next year.",
        "Turn it on once all of them support HTTPS: you can't take it back.",
    ),
)

TABLE: Final[Mapping[str, Setting]] = {setting.name: setting for setting in _ROWS}
"""The settings by name, in the order of the ini files and the reference."""

# What else ini files set. Misspelt it has no effect, and Pyramid and its packages say nothing.
_OF_OTHERS: Final = (
    *("pyramid.includes", "pyramid.tweens", "pyramid.default_locale_name"),
    *("pyramid.reload_templates", "pyramid.reload_assets", "pyramid.reload_all"),
    *("pyramid.debug_authorization", "pyramid.debug_notfound", "pyramid.debug_routematch"),
    *("pyramid.debug_templates", "pyramid.debug_all", "pyramid.csrf_trusted_origins"),
    *("pyramid.prevent_http_cache", "pyramid.prevent_cachebuster"),
    *("retry.attempts", "retry.activate_hook", "debugtoolbar.hosts"),
)

# What other applications pass to SQLAlchemy's engine_from_config, which nothing calls here.
_OF_ENGINES: Final = frozenset(
    f"sqlalchemy.{option}"
    for option in (
        *("echo", "echo_pool", "isolation_level", "max_overflow"),
        *("pool_pre_ping", "pool_recycle", "pool_size", "pool_timeout"),
    )
)

# Names that begin like this are the application's. `sqlalchemy.` is not: others use it, too.
_OWNED: Final = ("database.", "myapp.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """The application's settings, parsed; `reading` knows where each came from."""

    url: str = field(repr=False)  # which may hold a password
    # <migrations>
    migrate_on_start: bool
    version_table: str
    # </migrations>
    hsts: bool
    reading: Reading = field(compare=False, repr=False)


def read_application_settings(
    settings: Mapping[str, Any], environ: Mapping[str, str]
) -> ApplicationSettings:
    """Raises SettingError for the first setting that can't be used, or is unknown (C2)."""
    reading = read_table(TABLE, settings, environ, owned=_OWNED)
    warn_of_keys(_OF_OTHERS, settings)
    for key in sorted(_OF_ENGINES & settings.keys()):
        source = source_of(settings[key])
        log.warning("%s (from %s) has no effect; the engine is made in myapp/models", key, source)
    values = reading.values()
    return ApplicationSettings(
        url=values["sqlalchemy.url"],
        # <migrations>
        migrate_on_start=values["database.migrate_on_start"],
        version_table=values["database.version_table"],
        # </migrations>
        hsts=values["myapp.hsts"],
        reading=reading,
    )
