"""An application as it was before a move: ``old.py KIND PORT PLACE``, with the real old packages.

PLACE is a folder, a database or a Redis, as the kind wants it. It runs on Pyramid 1 as well.
"""

import datetime
import json
import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from pyramid.config import Configurator
from pyramid.response import Response

SECRET = "the old secret"
KIND, PORT, PLACE = sys.argv[1:]
VALUES = {"name": "Zo\u00eb", "rates": {"a": [1, 2.5, None, True]}}
PICKLED = {"since": datetime.datetime(2020, 2, 29, tzinfo=datetime.UTC), "raw": b"\xff"}


def signed_cookie(config):
    from pyramid.session import SignedCookieSessionFactory

    config.set_session_factory(SignedCookieSessionFactory(SECRET, cookie_name="old"))


def auth_tkt(config):
    from pyramid.authentication import AuthTktAuthenticationPolicy
    from pyramid.authorization import ACLAuthorizationPolicy

    signed_cookie(config)
    config.set_authorization_policy(ACLAuthorizationPolicy())
    config.set_authentication_policy(AuthTktAuthenticationPolicy(SECRET, hashalg="sha512"))


def beaker(config):
    kind, _, serializer = KIND.partition(" ")[2].partition(" ")
    place = {"session.data_dir": PLACE} if kind == "file" else {"session.url": PLACE}
    settings = {
        "session.type": kind,
        "session.key": "old",
        "session.secret": SECRET,
        "session.auto": "true",
        "session.timeout": "3600",
        "session.data_serializer": serializer or "pickle",
    }
    settings.update(place)
    config.add_settings(settings)
    config.include("pyramid_beaker")


def session_redis(config):
    settings = {"secret": SECRET, "cookie_name": "old", "redis_url": PLACE, "timeout": "3600"}
    config.add_settings({"redis.sessions." + name: value for name, value in settings.items()})
    config.include("pyramid_session_redis")


def redis_sessions(config):
    settings = {"secret": SECRET, "cookie_name": "old", "url": PLACE, "timeout": "3600"}
    config.add_settings({"redis.sessions." + name: value for name, value in settings.items()})
    config.include("pyramid_redis_sessions")


def sign_in(request):
    user = request.params["user"]
    session = request.session
    session["cart"] = []
    for name, value in VALUES.items():
        session[name] = value
    if "json" not in KIND:
        for name, value in PICKLED.items():
            session[name] = value
    session.flash("Welcome, " + user)
    response = Response("in")
    if KIND.startswith("auth_tkt"):
        from pyramid.security import remember

        response.headerlist.extend(remember(request, user))
    else:
        session["user"] = user
    return response


def user_of(request):
    if KIND.startswith("auth_tkt"):
        return request.authenticated_userid
    return request.session.get("user")


def who(request):
    session = request.session
    found = {
        "user": user_of(request),
        "cart": session.get("cart"),
        "token": session.get_csrf_token(),
    }
    return Response(json.dumps(found), content_type="application/json", charset="utf-8")


def add(request):
    cart = list(request.session.get("cart", []))
    if request.params["what"] not in cart:
        cart.append(request.params["what"])
    request.session["cart"] = cart
    return who(request)


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Handler(WSGIRequestHandler):
    def log_message(self, *words):
        pass


config = Configurator()
globals()[KIND.partition(" ")[0]](config)
for view in (sign_in, who, add):
    config.add_route(view.__name__, "/" + view.__name__)
    config.add_view(view, route_name=view.__name__)
server = Server(("127.0.0.1", int(PORT)), Handler)
server.set_app(config.make_wsgi_app())
server.serve_forever()
