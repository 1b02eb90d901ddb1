"""Django's sessions in its database.

`default` has the middleware and the settings that `startproject` writes. `tuned` has the session's
middleware alone and keeps its connection, on SQLite with the same journal as everybody else.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from bench.contenders.rows import copy_row
from bench.works import COUNTER, KEY, contents
from bench.wsgi import PLAIN, USER, Application, WsgiProgram

MIDDLEWARE = {
    "default": [
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    "tuned": ["django.contrib.sessions.middleware.SessionMiddleware"],
}
APPS = {
    "default": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    "tuned": ["django.contrib.sessions"],
}


class DjangoDatabase(WsgiProgram):
    """django.contrib.sessions.backends.db; its serializer is JSON by default."""

    def make_app(self) -> Application:
        if not settings.configured:
            settings.configure(
                ROOT_URLCONF=__name__,
                ALLOWED_HOSTS=["*"],
                SECRET_KEY="a secret of the benchmark",
                SESSION_COOKIE_SECURE=True,
                USE_TZ=True,
                DATABASES={"default": database(self.url, tuned=self.variant == "tuned")},
                DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
                INSTALLED_APPS=APPS[self.variant],
                MIDDLEWARE=MIDDLEWARE[self.variant],
            )
            django.setup()
            call_command("migrate", verbosity=0)
        # The second one shares the settings, which Django keeps once for a process.
        app: Application = get_wsgi_application()
        return app

    def fill(self, rows: int) -> None:
        self.new_session()
        copy_row(self.url, "django_session", rows, unique="session_key")


def database(url: str, *, tuned: bool) -> dict[str, Any]:
    """The database in Django's words."""
    kept = {"CONN_MAX_AGE": None} if tuned else {}
    if url.startswith("sqlite"):
        same = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        options = {"OPTIONS": {"init_command": same}} if tuned else {}
        name = url.removeprefix("sqlite:///")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name} | options | kept
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": parts.username,
        "HOST": parts.hostname,
        "PORT": parts.port,
    } | kept


def write(request: Any) -> HttpResponse:
    request.session[COUNTER] += 1
    return _text(str(request.session[COUNTER]))


def nested(request: Any) -> HttpResponse:
    request.session["cart"]["lines"][0]["amount"] += 1
    request.session.modified = True
    return _text("changed")


def first(request: Any) -> HttpResponse:
    request.session.update(contents())
    return _text("stored")


def sign_in(request: Any) -> HttpResponse:
    request.session.cycle_key()
    request.session["user"] = USER
    return _text("in")


def sign_out(request: Any) -> HttpResponse:
    request.session.flush()
    return _text("out")


def _text(answer: str) -> HttpResponse:
    return HttpResponse(answer, content_type="text/plain")


urlpatterns = [
    path("plain", lambda request: _text(PLAIN)),
    path("read", lambda request: _text(request.session.get(KEY, ""))),
    path("write", write),
    path("nested", nested),
    path("first", first),
    path("show", lambda request: _text(json.dumps(dict(request.session.items())))),
    path("sign-in", sign_in),
    path("sign-out", sign_out),
]

if __name__ == "__main__":
    # Django imports the URLs by this module's name, which is another one while it is run.
    from bench.contenders import django_db

    django_db.DjangoDatabase.main()
