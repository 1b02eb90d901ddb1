"""Where the parts meet: what `config.include("myapp.sessions")` does to an application."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.interfaces import IApplicationCreated, IExecutionPolicy, ISession, ISessionFactory
from pyramid.path import DottedNameResolver
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import EXCVIEW
from zope.interface import classImplements, implementedBy

from myapp import environment
from myapp.database import URL_SETTING, read_url
from myapp.database_url import parse_url, refused_folder
from myapp.environment import SettingError
from myapp.sessions.core.codec import Serializer
from myapp.sessions.core.errors import (
    SchemaError,
    StoreRefused,
    StoreUnavailable,
    TooManyCookies,
)
from myapp.sessions.core.events import SessionEvent
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.core.manager import SessionManager, make_manager
from myapp.sessions.core.session import Session
from myapp.sessions.core.settings import TABLE_SETTING, SessionSettings, read_session_settings
from myapp.sessions.core.state import Client
from myapp.sessions.core.store import SessionStore
from myapp.sessions.core.sweep import Sweeper
from myapp.sessions.sql.model import refused_name
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.web.client import client_of
from myapp.sessions.web.csrf import SessionCSRFPolicy
from myapp.sessions.web.factory import SessionFactory
from myapp.sessions.web.finish import rendered
from myapp.sessions.web.headers import REGISTRY_KEY
from myapp.sessions.web.judging import add_judging
from myapp.sessions.web.revocations import manager_for
from myapp.sessions.web.shield import Companion, shielding
from myapp.sessions.web.start import show_errors_of_the_start
from myapp.sessions.web.transaction import TM_TWEEN
from myapp.sessions.web.transaction import TWEEN as JOIN_TWEEN
from myapp.sessions.web.tween import TWEEN
from myapp.sessions.web.uwsgi import warn_without_threads
from myapp.setting_table import Expected, Reading

log = logging.getLogger(__name__)


class SessionRegistry:
    """The session managers of one application, by name; kept in Pyramid's registry."""

    def __init__(self) -> None:
        self.managers: dict[str, SessionManager] = {}
        self.cookie_names: list[str] = []
        self.stores: dict[object, SessionStore] = {}
        self.sweepers: list[Sweeper] = []
        self.companions: list[Companion] = []
        """The sweepers, and everything else that has a thread in each process."""
        self.warned: set[str] = set()
        self.is_listened_to = False
        """Whether anything subscribes to session events; known once the application is made."""


# The core does not know Pyramid, so its interface is declared here.
classImplements(Session, ISession)


def includeme(config: Configurator) -> None:
    """Give an application server-side sessions, as `request.session`.

    Reads the settings `session.*`, each overridden by its environment variable, and
    `sqlalchemy.url` if `session.url` is empty. Adds the directive
    `config.add_session(name, prefix=…)` for further kinds of session, each with its own cookie and
    settings, as `request.<name>`. SessionCSRFPolicy checks forms, unless the application sets
    another policy; with the view option `csrf_by_origin`, no token is required from signed-in
    users either.

    Raises SettingError for a setting that can't be used. When the application is made, raises
    SchemaError if the sessions table is missing. If the database does not answer then, the
    application starts anyway and serves the pages that need no session.
    """
    show_errors_of_the_start()
    _refuse_other_factory(config.registry.queryUtility(ISessionFactory))
    config.registry[REGISTRY_KEY] = SessionRegistry()
    config.add_directive("add_session", add_session)
    config.add_tween(TWEEN, over=[TM_TWEEN, EXCVIEW])
    config.add_tween(JOIN_TWEEN, under=[TM_TWEEN, TWEEN], over=EXCVIEW)
    # For views that use a manager during an outage (L8).
    config.add_exception_view(_store_unavailable, context=StoreUnavailable)
    config.add_exception_view(_too_many_cookies, context=TooManyCookies)
    config.add_subscriber(_on_application_created, ApplicationCreated)
    manager = _add_manager(config, "session", "session.")
    config.set_session_factory(SessionFactory(manager.kind))
    config.set_csrf_storage_policy(SessionCSRFPolicy(manager.settings.csrf))
    add_judging(config)


def add_session(config: Configurator, name: str, *, prefix: str | None = None) -> None:
    """Add another kind of session as `request.<name>`; its settings begin with `prefix`.

    The default prefix is the name and a dot: `admin_session.lifetime` for `admin_session`.
    """
    manager = _add_manager(config, name, prefix or f"{name}.")
    config.add_request_method(SessionFactory(manager.kind), name, reify=True)


def get_manager(request_or_registry: Request | Registry, name: str = "session") -> SessionManager:
    """The session manager of an application, to list and end sessions, for scripts and tests.

    With a request, it works within the request's transaction: if that is rolled back, no session
    has ended.
    """
    registry = getattr(request_or_registry, "registry", request_or_registry)
    manager: SessionManager = registry[REGISTRY_KEY].managers[name]
    if registry is request_or_registry:
        return manager
    return manager_for(request_or_registry, manager)


def open_manager(settings: SessionSettings) -> SessionManager:
    """A manager without an application, for commands. Close its store when you are done.

    If no `store` is set, the settings must name a database, as `with_place` returns them.
    """
    store = _complete(settings, _maker(settings)(settings))
    return make_manager(settings, store, serializer=_serializer(settings))


def get_client(request: Request, name: str = "session") -> Client:
    """Who made the request, as far as the manager's setting `record_client` allows."""
    settings = get_manager(request.registry, name).settings
    return client_of(request.environ, settings.record_client)


def _add_manager(config: Configurator, name: str, prefix: str) -> SessionManager:
    sessions: SessionRegistry = config.registry[REGISTRY_KEY]
    if name in sessions.managers:
        raise ConfigurationError(f"there is already a session manager named {name!r}")
    given = config.registry.settings
    settings = read_session_settings(given, os.environ, name=name, prefix=prefix)
    _refuse_taken_name(sessions, settings)
    store = _shared_store(sessions, given, settings)
    manager = make_manager(
        settings,
        store,
        serializer=_serializer(settings),
        publish=_guarded(sessions, config.registry),
    )
    sessions.managers[name] = manager
    sessions.cookie_names.append(settings.cookie_name)
    return manager


def _store_unavailable(error: StoreUnavailable, request: Request) -> Response:
    return rendered(request, error)


def _too_many_cookies(error: TooManyCookies, request: Request) -> Response:
    """The client's fault: 400, without an error in the log."""
    return rendered(request, HTTPBadRequest(str(error)))


def _guarded(sessions: SessionRegistry, registry: Registry) -> Callable[[SessionEvent], None]:
    """Tells subscribers; one that fails does not undo what was committed."""

    def publish_one(event: SessionEvent) -> None:
        try:
            if sessions.is_listened_to or registry.has_listeners:
                # Not by `notify`, which is silent where nobody listens to Pyramid's own.
                for _ in registry.subscribers((event,), None):
                    pass
        except Exception:
            log.exception("a subscriber to %s failed", type(event).__name__)

    return publish_one


def _refuse_taken_name(sessions: SessionRegistry, settings: SessionSettings) -> None:
    for other in sessions.managers.values():
        if other.settings.cookie_name == settings.cookie_name:
            taken = f"the session manager {other.name!r} already uses this name"
            settings.refuse("cookie_name", f"a different name: {taken}")


def _shared_store(
    sessions: SessionRegistry, given: Mapping[str, Any], settings: SessionSettings
) -> SessionStore:
    """The store of a manager: managers that mean the same database share it and its sweeper."""
    make = _maker(settings)
    if not settings.store:
        first = sessions.managers.get("session")
        shared = first.settings if first else settings
        settings = with_place(settings, shared, given)
        _refuse_folder(settings, shared, given)
    timeouts = settings.connect_timeout, settings.statement_timeout
    key = (make, settings.url, settings.table, settings.pooler, *timeouts)
    if key not in sessions.stores:
        sessions.stores[key] = _complete(settings, make(settings))
    return sessions.stores[key]


def _maker(settings: SessionSettings) -> Callable[[SessionSettings], SessionStore]:
    """What makes the store of these settings: a name of your own, or ours for a database."""
    if not settings.store:
        return SqlStore.from_settings
    found: Any = _resolve(settings, "store")
    if not callable(found):
        settings.refuse("store", "a callable that takes the settings")
    make: Callable[[SessionSettings], SessionStore] = found
    return make


def _complete(settings: SessionSettings, store: SessionStore) -> SessionStore:
    """The store, unless it lacks a method, which some request would be the first to miss (C3).

    Raises SettingError.
    """
    methods = [name for name in vars(SessionStore) if not name.startswith("_")]
    missing = [name for name in methods if not callable(getattr(store, name, None))]
    if missing:
        settings.refuse("store", f"a store with {', '.join(missing)}")
    return store


def with_place(
    settings: SessionSettings, first: SessionSettings, given: Mapping[str, Any]
) -> SessionSettings:
    """The settings with a database and a table: their own, or the first manager's; a database may
    also be the application's. Raises SettingError.
    """
    placed = _with_table(_with_url(settings, first, given), first)
    url = parse_url(placed.url or "")
    refused = refused_name(placed.table, url)
    if refused is not None:
        placed.refuse("table", refused)
    return placed


def _with_table(settings: SessionSettings, first: SessionSettings) -> SessionSettings:
    name = TABLE_SETTING.name
    if first.prefix == settings.prefix or settings.reading.given[name].source is not None:
        return settings
    reading = settings.reading.inheriting(name, first.reading)
    return replace(settings, table=first.table, reading=reading)


def _with_url(
    settings: SessionSettings, first: SessionSettings, given: Mapping[str, Any]
) -> SessionSettings:
    for each in (settings, first):
        if each.url is not None:
            try:
                parse_url(each.url)
            except Expected as error:
                each.refuse("url", error.expected)
            return replace(settings, url=each.url)
    url: str | None = read_url(given, os.environ).value
    if url is None:
        settings.refuse("url", "a database for the sessions, here or in sqlalchemy.url")
    return replace(settings, url=url)


def _refuse_folder(
    settings: SessionSettings, first: SessionSettings, given: Mapping[str, Any]
) -> None:
    """Raise SettingError where the sessions' SQLite file can't be made: for good, and no outage."""
    refused = refused_folder(parse_url(settings.url or ""))
    if refused is not None:
        _refuse_url(settings, first, given, refused)


def _refuse_url(
    settings: SessionSettings, first: SessionSettings, given: Mapping[str, Any], expected: str
) -> NoReturn:
    """Raise SettingError for the setting that a manager's database came from."""
    for each in (settings, first):
        if each.reading.given["url"].value is not None:
            each.refuse("url", expected)
    Reading("", {URL_SETTING.name: read_url(given, os.environ)}).refuse(URL_SETTING.name, expected)


def _serializer(settings: SessionSettings) -> Serializer | None:
    if not settings.serializer:
        return None
    found = _resolve(settings, "serializer")
    serializer: Serializer = found() if isinstance(found, type) else found
    if not (hasattr(serializer, "loads") and hasattr(serializer, "dumps")):
        settings.refuse("serializer", "an object with loads and dumps")
    return serializer


def _resolve(settings: SessionSettings, key: str) -> Any:
    try:
        return DottedNameResolver(None).resolve(getattr(settings, key))
    except (ImportError, AttributeError) as error:
        settings.refuse(key, f"a name that can be imported: {error}")


def _on_application_created(event: ApplicationCreated) -> None:
    """The last moment of start-up: put the shield in place, and refuse what can't work (C3).

    Done here, since what comes after an include may replace what it set.
    """
    registry = event.app.registry
    sessions: SessionRegistry = registry[REGISTRY_KEY]
    _refuse_other_factory(registry.queryUtility(ISessionFactory))
    _refuse_explicit_tweens(registry)
    for store in sessions.stores.values():
        _check_store(store, sessions, registry.settings)
    sessions.sweepers = _sweepers(sessions)
    if sessions.sweepers:
        warn_without_threads()
    sessions.companions += sessions.sweepers
    policy = shielding(event.app.execution_policy, sessions.companions, sessions.cookie_names)
    event.app.execution_policy = policy
    registry.registerUtility(policy, IExecutionPolicy)
    _tell_events_if_anybody_listens(sessions, registry)


def _tell_events_if_anybody_listens(sessions: SessionRegistry, registry: Registry) -> None:
    """Pyramid tells four events at each request as soon as anybody listens to any, as we did.

    A listener to the start alone, or to session events, causes none of them.
    """
    started = ((implementedBy(ApplicationCreated),), (IApplicationCreated,))
    listeners = (*registry.registeredHandlers(), *registry.registeredSubscriptionAdapters())
    wanted = {listener.required for listener in listeners}.difference(started)
    ours = {required for required in wanted if _is_of_sessions(*required)}
    sessions.is_listened_to, registry.has_listeners = bool(ours), wanted != ours


def _is_of_sessions(wanted: Any, *others: Any) -> bool:
    """Whether what somebody listens to, as Pyramid registers it, is an event of sessions alone."""
    kind = getattr(wanted, "inherit", None)
    return not others and isinstance(kind, type) and issubclass(kind, SessionEvent)


def _sweepers(sessions: SessionRegistry) -> list[Sweeper]:
    """One for each store, as often as the most eager of its managers asks for."""
    sweepers = []
    for store in sessions.stores.values():
        intervals = [
            manager.settings.sweep_interval
            for manager in sessions.managers.values()
            if manager.store is store and manager.settings.sweep_interval is not None
        ]
        if intervals:
            sweepers.append(Sweeper(store, SteadyClock(), min(intervals)))
    return sweepers


def _refuse_other_factory(factory: object) -> None:
    if factory is not None and not isinstance(factory, SessionFactory):
        raise SettingError(
            "session factory",
            getattr(factory, "__qualname__", type(factory).__qualname__),
            "config.set_session_factory",
            "only one session factory: remove this one, or don't include myapp.sessions",
        )


def _refuse_explicit_tweens(registry: Registry) -> None:
    explicit = registry.settings.get("pyramid.tweens")
    names = explicit.split() if isinstance(explicit, str) else list(explicit or ())
    wanted = [TWEEN, EXCVIEW]
    if TM_TWEEN in names:
        wanted = [TWEEN, TM_TWEEN, JOIN_TWEEN, EXCVIEW]
    if names and [name for name in names if name in wanted] != wanted:
        raise SettingError(
            "pyramid.tweens",
            " ".join(names),
            environment.source_of(explicit),
            f"these tweens, in this order: {' '.join(wanted)}",
        )


def _check_store(store: SessionStore, sessions: SessionRegistry, given: Mapping[str, Any]) -> None:
    try:
        store.check()
        if isinstance(store, SqlStore):
            store.refuse_without_rights()
    except SchemaError:
        store.close()
        raise
    except StoreRefused as error:
        # No outage: it would answer 503 for good.
        store.close()
        user = next(each for each in sessions.managers.values() if each.store is store)
        _refuse_url(user.settings, sessions.managers["session"].settings, given, error.reason)
    except StoreUnavailable as error:
        # A server that starts during an outage serves what needs no session.
        log.warning("the sessions table could not be checked: %s", error)
