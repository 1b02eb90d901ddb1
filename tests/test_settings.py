"""Settings that can't be used stop the start with one line that says which, whence and why."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.session import SignedCookieSessionFactory

import myapp
from myapp import database, environment
from myapp.environment import COMMAND_LINE, SettingError, variable_for
from myapp.sessions import settings as session_settings
from myapp.sessions.settings import TABLE, Settings, parse_duration, parse_size, read
from tests.processes import ROOT, clean_environment
from tests.sessions.app import create_table

SOURCES = ("ini", "environment", "command line")
PREFIXES = ("session.", "admin_session.")

DURATION = "a duration such as 1w, 7d, 3h, 20m, 90s, 1h30m, at most 400 days"
BOOL = "true or false"
DOTTED = "a dotted name such as package.module:name, or empty"
IN_MEMORY = "in-memory SQLite can't be used, name a file: sqlite:////path/to/file"

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True)
class Given:
    """Settings that all come from one place."""

    source: str
    settings: environment.Settings
    environ: dict[str, str]

    def words(self, key: str) -> str:
        """What a message says about where a value came from."""
        return {
            "ini": "[app:main] of some.ini",
            "environment": f"environment variable {variable_for(key)}",
            "command line": COMMAND_LINE,
        }[self.source]


def given(source: str, values: Mapping[str, str]) -> Given:
    """The values as the application sees them, after `main` has merged what pserve hands it."""
    ini: Mapping[str, str] = values if source == "ini" else {}
    typed = {key: value.replace("%", "%%") for key, value in values.items()}
    line = typed if source == "command line" else {}
    environ = {variable_for(key): value for key, value in values.items()}
    return Given(
        source,
        environment.merge(ini, {"__file__": "/etc/some.ini", **line}),
        environ if source == "environment" else {},
    )


def read_given(source: str, prefix: str, values: Mapping[str, str]) -> Settings:
    """The settings of one manager, whose values all come from one place."""
    found = given(source, {prefix + key: value for key, value in values.items()})
    return read(found.settings, found.environ, name=prefix.rstrip("."), prefix=prefix)


def refusal(source: str, prefix: str, values: Mapping[str, str]) -> str:
    """The message that such settings lead to."""
    with pytest.raises(SettingError) as caught:
        read_given(source, prefix, values)
    return str(caught.value)


def words(source: str, key: str) -> str:
    """What a message says about the source of a key."""
    return given(source, {}).words(key)


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer exported is no part of a test."""
    import os

    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
