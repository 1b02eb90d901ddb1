"""The ini files can be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from myapp.environment import load
from myapp.sessions.core.settings import read_session_settings
from myapp.settings import read_application_settings

ROOT = Path(__file__).resolve().parent.parent
INIS = [ROOT / "development.ini", ROOT / "production.ini"]


@pytest.mark.parametrize("ini", INIS, ids=lambda ini: ini.name)
def test_each_setting_can_be_used(ini: Path) -> None:
    """No setting is unknown, and no value keeps the application from starting."""
    settings = load(str(ini), {})
    read_application_settings(settings, {})
    read_session_settings(settings, {}, name="session", prefix="session.")


def test_the_cookie_belongs_to_this_application_alone() -> None:
    """Other applications may use the name `session`; in production it needs HTTPS."""
    names = [load(str(ini), {})["session.cookie_name"] for ini in INIS]
    assert names[1] == f"__Host-Http-{names[0]}"
    assert re.fullmatch(r"\w{12,}", names[0])
