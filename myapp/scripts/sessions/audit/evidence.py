"""What the audit looks at: the settings, the table, and responses made by the same settings.

The responses come from a small application with the same session settings and security headers,
whose sessions stay in memory: nothing is written, and an outage does not matter.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember

from myapp.scripts.sessions.given import Given
from myapp.sessions import SessionSecurityPolicy
from myapp.sessions.core.errors import SessionError
from myapp.sessions.core.settings import SessionSettings
from myapp.sessions.sql.store import SqlStore
from myapp.setting_table import Reading
from myapp.settings import read_application_settings

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
    """The settings of the application and of each feature, by its name."""
    server: Mapping[str, str]
    """[server:main] of the ini file."""
    signed_in: Mapping[str, str]
    """The headers of a response that signs somebody in over https."""
    signed_out: Mapping[str, str]
    location: str
    """Where that response leads."""
    table: str | None
    """None: the sessions table has all of its columns; else what is wrong."""
    https_declared: bool
    ours: bool
    """Whether it is this application, with its security headers."""

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
        found = self.readings[name].given[setting]
        return found.value, f"{setting} = {found.text or 'empty'} ({found.source or 'default'})"

    def session_setting(self, key: str) -> str:
        """A setting of the sessions with its value and its source."""
        found = self.sessions.reading.given[key]
        name = self.sessions.prefix + key
        return f"{name} = {found.text or 'empty'} ({found.source or 'default'})"


def gather(given: Given, *, https_declared: bool) -> Evidence:
    """Look at everything once. Raises SettingError for what stops the start anyway."""
    sessions = given.parsed()
    signed_in, signed_out = _responses(given, sessions)
    readings = {"application": given.application()}
    for reading in given.of_features():
        readings[next(iter(reading.given)).partition(".")[0]] = reading
    return Evidence(
        sessions=sessions,
        readings=readings,
        server=_server(given.ini),
        signed_in=dict(signed_in.headers),
        signed_out=dict(signed_out.headers),
        location=signed_in.headers.get("Location", ""),
        table=_table(sessions),
        https_declared=https_declared,
        ours=given.ours,
    )


def _responses(given: Given, sessions: SessionSettings) -> tuple[Response, Response]:
    """A response that signs in, and one that signs out again."""
    app = _application(given, sessions)
    signed_in = Request.blank("/in", base_url="https://audit.invalid").get_response(app)
    cookie = SimpleCookie(signed_in.headers.get("Set-Cookie", ""))
    header = "; ".join(f"{name}={morsel.value}" for name, morsel in cookie.items())
    out = Request.blank("/out", base_url="https://audit.invalid", headers={"Cookie": header})
    return signed_in, out.get_response(app)


def _application(given: Given, sessions: SessionSettings) -> Callable[..., Any]:
    """An application with these session settings, which stand for those of any manager."""
    own = {f"session.{name}": each.text for name, each in sessions.reading.given.items()}
    with _read_already(), Configurator(settings=own | _IN_MEMORY) as config:
        if given.ours:
            found = read_application_settings(given.settings, os.environ)
            config.registry["application_settings"] = found
            config.include("myapp.security_headers")
        config.include("myapp.sessions")
        config.set_security_policy(SessionSecurityPolicy())
        for name, view in (("in", _sign_in), ("out", _sign_out)):
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
    app: Callable[..., Any] = config.make_wsgi_app()
    return app


@contextmanager
def _read_already() -> Iterator[None]:
    """Without the variables of the first manager: what counts of them is in the settings."""
    before = {name: text for name, text in os.environ.items() if name.startswith("SESSION_")}
    for name in before:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


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


def _server(ini: str) -> dict[str, str]:
    """[server:main] as it stands in the file; empty where another server is used."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(Path(ini), "utf-8")
    return dict(parser["server:main"]) if parser.has_section("server:main") else {}
