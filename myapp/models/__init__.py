"""The application's own data: its engine, and `request.dbsession` in the request's transaction.

Import every module with a model here, so that alembic sees its tables; it finds the `models` of a
feature by itself. Sessions are not kept through `request.dbsession`; they have an engine of their
own.
"""

from __future__ import annotations

import os
from typing import Any

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session, configure_mappers, sessionmaker

from myapp.database import create_database_engine, read_pooler
from myapp.models.probe import DatabaseProbe
from myapp.models.retry import mark_retryable_errors

# Relationships are resolved at start-up, so that a mistake in a model never waits for a visitor.
configure_mappers()


def get_session_factory(engine: Engine) -> sessionmaker[Session]:
    """A maker of dbsessions on one engine."""
    return sessionmaker(bind=engine)


def get_tm_session(
    session_factory: sessionmaker[Session], transaction_manager: Any, request: Request | None = None
) -> Session:
    """A dbsession that the transaction manager commits or rolls back.

    In a script use it within `with transaction_manager:`; nothing else may commit it. A request
    is kept in the dbsession's `info`, where event listeners find it.
    """
    dbsession = session_factory(info={"request": request})
    zope.sqlalchemy.register(dbsession, transaction_manager=transaction_manager)
    return dbsession


def dbsession_of(request: Request) -> Session:
    """The dbsession of this request, opened at its first use.

    A test can put one of its own into the environ as `app.dbsession`.
    """
    given: Session | None = request.environ.get("app.dbsession")
    if given is not None:
        return given
    return get_tm_session(request.registry["dbsession_factory"], request.tm, request)


def includeme(config: Configurator) -> None:
    """Open the engine of `sqlalchemy.url` and give each request its transaction and dbsession.

    The registry then holds `dbengine`, `dbsession_factory` and `database_probe`.
    """
    settings = config.get_settings()
    # An explicit manager makes a use outside the request's transaction an error.
    settings["tm.manager_hook"] = "pyramid_tm.explicit_manager"
    # Otherwise every request would ask who is signed in, and so load its session.
    settings["tm.annotate_user"] = False
    config.include("pyramid_tm")
    config.include("pyramid_retry")

    pooler = read_pooler(settings, os.environ)
    engine = create_database_engine(settings["sqlalchemy.url"], pooler=pooler)
    mark_retryable_errors(engine)
    config.registry["dbengine"] = engine
    config.registry["dbsession_factory"] = get_session_factory(engine)
    config.registry["database_probe"] = DatabaseProbe(engine)
    config.add_request_method(dbsession_of, name="dbsession", reify=True)
