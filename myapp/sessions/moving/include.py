"""What `config.include("myapp.sessions.moving")` does, after `myapp.sessions` was included."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from pyramid.config import PHASE3_CONFIG, Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import ISessionFactory
from pyramid.registry import Registry
from pyramid.request import Request

from myapp.sessions.core.kind import Kind
from myapp.sessions.core.session import Session
from myapp.sessions.moving.auth_tkt import AuthTktReader
from myapp.sessions.moving.beaker import BeakerReader
from myapp.sessions.moving.old import Reader
from myapp.sessions.moving.outcome import MovingCounts, Parts
from myapp.sessions.moving.reading import BadUrl
from myapp.sessions.moving.redis_readers import RedisSessionsReader, SessionRedisReader
from myapp.sessions.moving.settings import MovingSettings, read_moving_settings
from myapp.sessions.moving.signed_cookie import SignedCookieReader
from myapp.sessions.moving.source import MovingSource
from myapp.sessions.web.factory import SessionFactory
from myapp.sessions.web.headers import REGISTRY_KEY as SESSIONS_KEY
from myapp.sessions.web.scope import SCOPE, Scope
from myapp.setting_table import note_included

REGISTRY_KEY: Final = "myapp.sessions.moving"

_READERS: Final[Mapping[str, Callable[[Mapping[str, Any], str], Reader]]] = {
    reader.name: reader
    for reader in (
        SignedCookieReader,
        BeakerReader,
        SessionRedisReader,
        RedisSessionsReader,
        AuthTktReader,
    )
}


def includeme(config: Configurator) -> None:
    """During a move, adopt the sessions of old libraries as `request.session`.

    Reads the settings `moving.*`, each overridden by its environment variable. Raises SettingError
    for a setting that can't be used. Remove the include when no old sessions arrive any more.
    """
    sessions = config.registry.get(SESSIONS_KEY)
    if sessions is None:
        raise ConfigurationError("include myapp.sessions first, then myapp.sessions.moving")
    settings = read_moving_settings(config.registry.settings, os.environ)
    note_included(config.registry, "myapp.sessions.moving")
    readers = [_reader(settings, kind) for kind in settings.kinds]
    _refuse_same_names(settings, readers, sessions.cookie_names)
    parts = Parts(settings=settings, readers=readers)
    config.registry[REGISTRY_KEY] = parts

    def replace_factory() -> None:
        kind = sessions.managers["session"].kind
        config.registry.registerUtility(MovingFactory(kind, parts), ISessionFactory)

    # After the factory of the sessions was registered, which is no conflict, since this is it.
    config.action(REGISTRY_KEY, replace_factory, order=PHASE3_CONFIG)


def get_counts(request_or_registry: Request | Registry) -> MovingCounts:
    """How many old sessions this process has seen, for metrics."""
    registry = getattr(request_or_registry, "registry", request_or_registry)
    parts: Parts = registry[REGISTRY_KEY]
    return parts.counts


class MovingFactory(SessionFactory):
    """The factory of sessions, which also looks for old ones."""

    def __init__(self, kind: Kind, parts: Parts) -> None:
        super().__init__(kind)
        self._parts = parts

    def __call__(self, request: Request) -> Session:
        """The session of a request, the same each time."""
        session = super().__call__(request)
        scope: Scope = request.__dict__[SCOPE]
        state = scope.states[self.kind.name]
        if state.source is scope:
            state.source = MovingSource(request, scope, state, self._parts)
        return session


def _reader(settings: MovingSettings, kind: str) -> Reader:
    options = settings.of(kind)
    if kind == "beaker":
        needed = "data_dir" if options["type"] == "file" else "url"
        if not options[needed]:
            settings.refuse(f"beaker.{needed}", f"a value, because beaker.type = {options['type']}")
    try:
        return _READERS[kind](options, settings.pickle)
    except ImportError as error:
        settings.refuse("from", f"the package {error.name}, which {kind} needs, to be installed")
    except BadUrl as error:
        settings.refuse(f"{kind}.{error.option}", "a URL that its client can read")


def _refuse_same_names(settings: MovingSettings, readers: list[Reader], taken: list[str]) -> None:
    for reader in readers:
        if reader.cookie_name in taken:
            name = "key" if reader.name == "beaker" else "cookie_name"
            expected = "a name that no new cookie has: change session.cookie_name"
            settings.refuse(f"{reader.name}.{name}", expected)
