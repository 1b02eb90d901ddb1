"""Flask-Session over Flask-SQLAlchemy, with its default settings."""

from __future__ import annotations

import json
import warnings
from typing import Any

from flask import Flask, Response, session
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy

from bench.contenders.rows import copy_row
from bench.works import COUNTER, KEY, contents
from bench.wsgi import PLAIN, USER, Application, WsgiProgram

# It uses what newer Pythons discourage, at each request.
warnings.simplefilter("ignore")


class FlaskSession(WsgiProgram):
    """Sessions in a table, by the ORM."""

    def make_app(self) -> Application:
        return make_app(self.url)

    def fill(self, rows: int) -> None:
        self.new_session()
        copy_row(self.url, "sessions", rows, unique="session_id", left_out=("id",))


def make_app(url: str) -> Application:
    """The application."""
    app = Flask(__name__)
    database = SQLAlchemy()
    app.config |= {
        "SQLALCHEMY_DATABASE_URI": url,
        "SESSION_TYPE": "sqlalchemy",
        "SESSION_SQLALCHEMY": database,
        "SESSION_COOKIE_SECURE": True,
    }
    database.init_app(app)
    Session(app)
    for path, view in {
        "/plain": lambda: _text(PLAIN),
        "/read": lambda: _text(session.get(KEY, "")),
        "/write": write,
        "/nested": nested,
        "/first": first,
        "/show": lambda: _text(json.dumps(dict(session))),
        "/sign-in": lambda: sign_in(app),
        "/sign-out": sign_out,
    }.items():
        app.add_url_rule(path, endpoint=path, view_func=view)
    made: Application = app
    return made


def write() -> Any:
    session[COUNTER] += 1
    return _text(str(session[COUNTER]))


def nested() -> Any:
    session["cart"]["lines"][0]["amount"] += 1
    session.modified = True
    return _text("changed")


def first() -> Any:
    session.update(contents())
    return _text("stored")


def sign_in(app: Any) -> Any:
    app.session_interface.regenerate(session)
    session["user"] = USER
    return _text("in")


def sign_out() -> Any:
    session.clear()
    return _text("out")


def _text(answer: str) -> Any:
    return Response(answer, mimetype="text/plain")


if __name__ == "__main__":
    FlaskSession.main()
