"""The tables of accounts on each database, and the first people in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from myapp.accounts.models import User
from myapp.database import create_database_engine
from myapp.models.meta import Base
from myapp.models.retry import mark_retryable_errors

NOW: Final = 1_790_000_000_000


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The application's engine, its database with the tables."""
    engine = create_database_engine(database_url)
    mark_retryable_errors(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def ann(engine: Engine) -> int:
    """The id of a user."""
    with Session(engine) as dbsession, dbsession.begin():
        user = a_user("ann@example.com")
        dbsession.add(user)
        dbsession.flush()
        return user.id


def a_user(email: str) -> User:
    """Somebody whose account was made and confirmed before NOW."""
    return User(
        email=email,
        password_hash="a hash",
        generation=email.encode().ljust(32, b"."),
        role="user",
        created_at=NOW - 1000,
        confirmed_at=NOW - 1000,
    )
