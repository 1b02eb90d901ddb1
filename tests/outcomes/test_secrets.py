"""What an application's engine logs of a session that is saved on its connection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from myapp.sessions.core.token import digest
from tests.outcomes.app import REFUSED, OutcomeApp


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[OutcomeApp]:
    made = OutcomeApp(database_url, f"sqlite:///{tmp_path / 'there.sqlite'}")
    # As create_engine(url, echo=True) has it, which an application may use for itself.
    made.engine.hide_parameters = False
    yield made
    made.close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, statements included."""
    logger = logging.getLogger("sqlalchemy.engine")
    caplog.set_level(logging.DEBUG)
    logger.setLevel(logging.INFO)  # which is echo=True
    yield caplog
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("outcome", ["return_200", "refused"])
@pytest.mark.parametrize("action", ["changed", "renewed", "ended"])
def test_a_joined_save_is_logged_without_what_the_session_holds(
    app: OutcomeApp, log: pytest.LogCaptureFixture, outcome: str, action: str
) -> None:
    """R6: neither data nor digests; the application's own statements are logged as it wishes."""
    token = app.start()
    response, note = app.request(token, outcome=outcome, dbsession="written", action=action)
    assert response is not None
    text = log.text
    assert "UPDATE sessions" in text
    assert f"({note},)" in text or f"'id': {note}" in text
    for secret in ("before", "after", REFUSED, "deadline': "):
        assert secret not in text
    old = digest("session", token)
    assert old.hex()[:9] not in text
    assert repr(old[:5])[2:-1] not in text
