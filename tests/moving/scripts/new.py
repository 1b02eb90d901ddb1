"""The same application after the move: ``new.py PORT SETTINGS``, the settings as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import create_engine
from waitress import serve

from myapp.sessions import SessionSecurityPolicy, model
from myapp.sessions.moving import get_counts

port, given = sys.argv[1:]
settings = json.loads(given)


def who(request: Request) -> Any:
    session = request.session
    return {
        "user": request.authenticated_userid,
        "cart": session.get("cart"),
        "token": session.csrf_token,
    }


def add(request: Request) -> Any:
    cart = request.session.setdefault("cart", [])
    if request.params["what"] not in cart:
        cart.append(request.params["what"])
    return who(request)


def everything(request: Request) -> Any:
    values = {name: repr(value) for name, value in request.session.items()}
    return {"values": values, "flash": request.session.pop_flash()}


def counts(request: Request) -> Any:
    seen = get_counts(request)
    return {"moved": seen.moved, "late": seen.late, "left": seen.left}


engine = create_engine(settings["session.url"])
model.metadata.create_all(engine)
engine.dispose()
with Configurator(settings=settings) as config:
    config.include("myapp.sessions")
    config.include("myapp.sessions.moving")
    config.set_security_policy(SessionSecurityPolicy())
    for view in (who, add, everything, counts):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")
serve(config.make_wsgi_app(), host="127.0.0.1", port=int(port), threads=8, _quiet=True)
