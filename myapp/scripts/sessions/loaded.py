"""The application that an ini file describes, looked at as its server would load it.

Nothing may be left behind: no thread is started, no row is written, no migration is applied.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Final

from pyramid.config import Configurator, global_registries
from pyramid.registry import Registry
from sqlalchemy import Engine

from myapp import environment
from myapp.environment import Described, without_passwords
from myapp.sessions.testing.memory_store import MemoryStore
from myapp.sessions.web.headers import REGISTRY_KEY
from myapp.setting_table import INCLUDED

_UNTOUCHED: Final[Mapping[str, str | None]] = {
    "DATABASE_MIGRATE_ON_START": "false",
    # prometheus-client writes files there, for a process that nobody asks for its numbers.
    "PROMETHEUS_MULTIPROC_DIR": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An application as far as it could be loaded."""

    wsgi: Any
    """What a server would call; None if the application does not start."""
    failure: BaseException | None
    """What kept it from starting."""
    registry: Registry | None
    """That of the application with the sessions; None if it did not get so far."""
    modules: Sequence[str] = ()
    """What that application has included, by the names of the modules."""

    @property
    def why_not(self) -> str:
        """Why it does not start, in one line and without passwords."""
        words = without_passwords(str(self.failure))
        return " ".join(words.split()) or type(self.failure).__name__

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings as the application has them, however it came by them."""
        return {} if self.registry is None else self.registry.settings

    @property
    def included(self) -> Sequence[str]:
        """The packages of features that noted themselves."""
        return [] if self.registry is None else self.registry.get(INCLUDED, ())

    def has_included(self, package: str) -> bool:
        """Whether it has included a package, or a module within."""
        return any(f"{module}.".startswith(f"{package}.") for module in self.modules)


@contextmanager
def loaded(described: Described) -> Iterator[Loaded]:
    """Load an application with all that its server loads around it, and close it in the end.

    What it prints meanwhile, be it asked for a page, is no part of what a command says.
    """
    with redirect_stdout(sys.stderr), _loaded(described) as application:
        yield application


@contextmanager
def _loaded(described: Described) -> Iterator[Loaded]:
    before = list(global_registries)
    known = {id(each) for each in before}
    wsgi, failure = None, None
    with _untouched(), _noting() as included:
        try:
            wsgi = described.outermost.create()
        except (Exception, SystemExit) as error:
            # Kept, since it may be all that still holds what was made before it.
            failure = error
    made = [each for each in global_registries if id(each) not in known]
    ours = [each for each in made if REGISTRY_KEY in each]
    for each in ours:
        _quieten(each)
    registry = _of(described, ours)
    modules = [module for within, module in included if within is registry]
    try:
        yield Loaded(wsgi=wsgi, failure=failure, registry=registry, modules=modules)
    finally:
        for each in ours:
            _close(each)


@contextmanager
def _untouched() -> Iterator[None]:
    """With variables that keep what is loaded from changing anything.

    No warning says that they override the command line, since we set them ourselves.
    """
    environment.log.addFilter(_is_news)
    try:
        with changed_environment(_UNTOUCHED):
            yield
    finally:
        environment.log.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return _UNTOUCHED.keys().isdisjoint(map(str, record.args or ()))


@contextmanager
def changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """With other environment variables; None takes one away."""
    before = {name: os.environ.get(name) for name in changes}
    _change(changes)
    try:
        yield
    finally:
        _change(before)


@contextmanager
def _noting() -> Iterator[Sequence[tuple[Registry, str]]]:
    """What is included meanwhile, by its registry and the name of its module.

    Pyramid knows it while it includes, and forgets it: there is no other way to ask.
    """
    noted: list[tuple[Registry, str]] = []
    include = Configurator.include

    def noting(config: Configurator, callable: Any, *args: Any, **options: Any) -> None:
        include(config, callable, *args, **options)
        found = config.maybe_dotted(callable)
        noted.append((config.registry, getattr(found, "__module__", None) or found.__name__))

    Configurator.include = noting
    try:
        yield noted
    finally:
        Configurator.include = include


def _change(variables: Mapping[str, str | None]) -> None:
    for name, text in variables.items():
        if text is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = text


def _of(described: Described, registries: Sequence[Registry]) -> Registry | None:
    """Of several that a composite has made, the one whose settings are those of the section."""
    section = described.context.local_conf.items()
    return max(
        registries,
        key=lambda each: sum(each.settings.get(name) == text for name, text in section),
        default=None,
    )


def _quieten(registry: Registry) -> None:
    """Start no thread with the first request, and keep what it stores in memory."""
    sessions = registry[REGISTRY_KEY]
    sessions.companions.clear()
    for manager in sessions.managers.values():
        manager.kind.store = manager.store = MemoryStore()


def _close(registry: Registry) -> None:
    for store in registry[REGISTRY_KEY].stores.values():
        store.close()
    for engine in [each for each in registry.values() if isinstance(each, Engine)]:
        engine.dispose()
