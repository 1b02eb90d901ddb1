"""What the audit looks at: settings, table, a page of the application, and a session's cookie.

The page comes from the application itself. The cookie comes from a small application with the same
session settings, which can sign somebody in; its sessions stay in memory. Nothing is written.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember

from myapp.environment import shown
from myapp.scripts.sessions.audit.page import Page
from myapp.scripts.sessions.given import Given
from myapp.scripts.sessions.loaded import changed_environment
from myapp.sessions import SessionSecurityPolicy
from myapp.sessions.core.errors import SessionError
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.sql.store import SqlStore
from myapp.setting_table import Reading

_IN_MEMORY: Final = {
    "session.store": "myapp.sessions.testing.memory_store:MemoryStore",
    "session.serializer": "",
    "session.sweep_interval": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the rules judge; none of it is looked up again."""

    sessions: SessionSettings
    readings: Mapping[str, Reading] = field(repr=False)
    """The settings of the application, and of each included feature by its package."""
    server: Mapping[str, str]
    """[server:main] of the ini file."""
    formatters: Mapping[str, str]
    """The classes that [formatter_…] sections of the ini file name, by the section."""
    page: Page
    """What the application itself answered."""
    signed_in: Mapping[str, str]
    """The headers of a response that signs somebody in over https."""
    signed_out: Mapping[str, str]
    location: str
    """Where that response leads."""
    table: str | None
    """None: the sessions table has all of its columns; else what is wrong."""
    https_declared: bool

    @property
    def cookie(self) -> tuple[str, str, dict[str, str]]:
        """Name, value and attributes of the session's cookie; attributes in small letters."""
        header = self.signed_in.get("Set-Cookie", "")
        first, *rest = (part.strip() for part in header.split(";"))
        name, _, value = first.partition("=")
        pairs = (part.partition("=") for part in rest)
        return name, value, {key.lower(): text for key, _, text in pairs}

    def given(self, name: str, setting: str) -> tuple[Any, str]:
        """What a setting of the application or a feature means, and its value with its source."""
        reading = self.readings[name]
        found, whole = reading.given[setting], reading.prefix + setting
        text = shown(whole, found.text) if found.text else "empty"
        return found.value, f"{whole} = {text} ({found.source or 'default'})"

    def session_setting(self, key: str) -> str:
        """A setting of the sessions with its value and its source."""
        found = self.sessions.reading.given[key]
        name = self.sessions.prefix + key
        return f"{name} = {found.text or 'empty'} ({found.source or 'default'})"


def gather(given: Given, page: Page, *, https_declared: bool) -> Evidence:
    """Look at everything else once. Raises SettingError for what stops the start anyway."""
    sessions = given.parsed()
    signed_in, signed_out = _responses(sessions)
    return Evidence(
        sessions=sessions,
        readings={"application": given.application(), **dict(given.of_features())},
        server=_sections(given.ini).get("server:main", {}),
        formatters=_formatters(given.ini),
        page=page,
        signed_in=dict(signed_in.headers),
        signed_out=dict(signed_out.headers),
        location=signed_in.headers.get("Location", ""),
        table=_table(sessions),
        https_declared=https_declared,
    )


def _responses(sessions: SessionSettings) -> tuple[Response, Response]:
    """A response that signs in, and one that signs out again."""
    app = _application(sessions)
    signed_in = Request.blank("/in", base_url="https://audit.invalid").get_response(app)
    cookie = SimpleCookie(signed_in.headers.get("Set-Cookie", ""))
    header = "; ".join(f"{name}={morsel.value}" for name, morsel in cookie.items())
    out = Request.blank("/out", base_url="https://audit.invalid", headers={"Cookie": header})
    return signed_in, out.get_response(app)


def _application(sessions: SessionSettings) -> Callable[..., Any]:
    """An application with these session settings, which stand for those of any manager."""
    own = {f"session.{name}": each.text for name, each in sessions.reading.given.items()}
    # What counts of the variables is in the settings already.
    variables = {name: None for name in os.environ if name.startswith("SESSION_")}
    with changed_environment(variables), Configurator(settings=own | _IN_MEMORY) as config:
        config.include("myapp.sessions")
        config.set_security_policy(SessionSecurityPolicy())
        for name, view in (("in", _sign_in), ("out", _sign_out)):
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
    app: Callable[..., Any] = config.make_wsgi_app()
    return app


def _sign_in(request: Request) -> Response:
    remember(request, "audit")
    return Response(status=303, location="/")


def _sign_out(request: Request) -> Response:
    forget(request)
    return Response(status=303, location="/")


def _table(sessions: SessionSettings) -> str | None:
    if sessions.store is not None:
        return None
    store = SqlStore.from_settings(sessions)
    try:
        store.check()
    except SessionError as error:
        return " ".join(str(error).split())
    finally:
        store.close()
    return None


def _formatters(ini: str) -> dict[str, str]:
    sections = _sections(ini).items()
    return {
        name: options["class"]
        for name, options in sections
        if name.startswith("formatter_") and "class" in options
    }


def _sections(ini: str) -> dict[str, dict[str, str]]:
    """The file as it stands: [server:main] is not there where another server is used."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(Path(ini), "utf-8")
    return {name: dict(parser[name]) for name in parser.sections()}
