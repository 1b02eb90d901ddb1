"""An application made of the code on the pages, and of what a reader brings along: `shop`."""

from __future__ import annotations

from pathlib import Path

from harness.processes import ROOT
from tests.test_docs import fences

HOW_TO = ROOT / "docs" / "how-to"
OWN, TESTING = HOW_TO / "own-application.md", HOW_TO / "testing.md"

META = """
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass
"""
USER = """
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from shop.models.meta import Base


class User(Base):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    active: Mapped[bool] = mapped_column(default=True)
    group_names = ("editors",)
"""
MODELS = """
import zope.sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from shop.models.meta import Base
from shop.models.user import User


def dbsession_of(request):
    if "app.dbsession" in request.environ:
        return request.environ["app.dbsession"]
    dbsession = request.registry["makes_dbsession"]()
    zope.sqlalchemy.register(dbsession, transaction_manager=request.tm)
    return dbsession


def includeme(config):
    explicit = "pyramid_tm.explicit_manager"
    config.add_settings({"tm.manager_hook": explicit, "tm.annotate_user": False})
    config.include("pyramid_tm")
    engine = create_engine(config.get_settings()["sqlalchemy.url"])
    config.registry["dbengine"] = engine
    config.registry["makes_dbsession"] = sessionmaker(engine)
    config.add_request_method(dbsession_of, "dbsession", reify=True)
"""
VIEWS = """
from pyramid.authorization import Allow
from pyramid.csrf import get_csrf_token
from pyramid.view import view_config

from shop.signing import sign_in, sign_out

view_config(name="sign_in", csrf_by_origin=True)(sign_in)
view_config(name="sign_out")(sign_out)


class Page:
    __acl__ = [(Allow, "group:editors", "edit")]


@view_config(name="token", renderer="json")
def token(request):
    return get_csrf_token(request)


@view_config(name="buy", renderer="json", request_method="POST")
def buy(request):
    return {"bought": request.session.pop("cart")}


@view_config(name="who", renderer="json")
def who(request):
    identity = request.identity
    return {
        "is": type(identity).__name__,
        "id": request.authenticated_userid,
        "may": bool(request.has_permission("edit", Page())),
    }
"""
CHECK_PASSWORD = """
from shop.models import User


def check_password(request):
    return request.dbsession.query(User).one()
"""


def block(page: Path, words: str) -> str:
    """The one block of a page that contains these words."""
    (found,) = (text for _, text in fences(page) if words in text)
    return found


def write_shop(folder: Path) -> Path:
    """Write the package `shop` and shop.ini into a folder; the ini file."""
    models = block(OWN, "to_metadata").replace("from shop.models.meta import Base\n", "")
    main = block(OWN, "def main(")
    files = {
        "__init__": main,
        # The application's own policy takes the place of the plain one.
        "policy": block(OWN, "class UserPolicy"),
        "signing": block(OWN, "def sign_in") + CHECK_PASSWORD,
        "views": VIEWS,
        "models/meta": META,
        "models/user": USER,
        "models/__init__": MODELS + models,
        "with_users": main.replace("SessionSecurityPolicy()", "UserPolicy()")
        .replace(
            "from myapp.sessions import SessionSecurityPolicy", "from shop.policy import UserPolicy"
        )
        .replace("config.scan()", "config.scan('shop')"),
    }
    for name, text in files.items():
        path = folder / "shop" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ini = folder / "shop.ini"
    server = "pyramid.includes = shop.models\n[server:main]\nuse = egg:waitress\n"
    settings = block(OWN, "[app:main]").replace("egg:shop", "call:shop.with_users:main")
    ini.write_text(settings + server)
    return ini
