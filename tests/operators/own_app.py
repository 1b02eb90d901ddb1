"""Somebody's application, whose ini file says what it includes and which headers it sends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from webob import Request as WebObRequest

SAFE: Final = {
    "Strict-Transport-Security": "max-age=63072000",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Headers as somebody may send them without anything of ours."""

Handler = Callable[[Request], Response]


def main(global_config: dict[str, str], **settings: str) -> Any:
    """The WSGI application; `pyramid.includes` is Pyramid's own setting."""
    if "own.cache_url" in settings:
        raise OSError(f"can't reach {settings['own.cache_url']}, since nothing answers")
    given: dict[str, Any] = {
        name: text for name, text in settings.items() if name != "own.lifetime"
    }
    # Settings in Python may be anything, and this one is of no ini file.
    given["own.cache"] = None
    if "own.lifetime" in settings:
        given["session.lifetime"] = settings["own.lifetime"]
    with Configurator(settings=given) as config:
        config.include("myapp.sessions")
        if settings.get("own.headers") == "safe":
            config.add_tween(f"{__name__}.tween_factory")
        config.add_route("home", "/")
        config.add_view(home, route_name="home")
        for view in (broken, leaving):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__)
    return config.make_wsgi_app()


def tween_factory(handler: Handler, registry: Registry) -> Handler:
    """A tween that adds the headers."""

    def tween(request: Request) -> Response:
        response = handler(request)
        response.headers.update(SAFE)
        return response

    return tween


def home(request: Request) -> Response:
    """A page that begins a session for everybody, and leads elsewhere whoever comes by HTTP."""
    print("not for whoever reads what a command says")
    request.session["seen"] = True
    return Response("hello") if request.scheme == "https" else HTTPFound("https://example.com/")


def broken(request: Request) -> Response:
    """A page that fails."""
    raise ValueError("broken")


def leaving(request: Request) -> Response:
    """A page that wants the whole process to end."""
    sys.exit("leaving")


def nothing(global_config: dict[str, str], **settings: str) -> Any:
    """An application without sessions."""
    return Response("static", headers=SAFE)


def filter_(app: Any, global_config: dict[str, str], **settings: str) -> Any:
    """A filter that adds the headers to whatever an application answers."""

    def filtered(environ: dict[str, Any], start_response: Any) -> Any:
        response = WebObRequest(environ).get_response(app)
        response.headers.update(SAFE)
        return response(environ, start_response)

    return filtered


def urlmap(loader: Any, global_config: dict[str, str], **paths: str) -> Any:
    """A composite as Paste's urlmap is one: applications by their paths."""
    apps = {path.rstrip("/"): loader.get_app(name) for path, name in paths.items()}

    def mapped(environ: dict[str, Any], start_response: Any) -> Any:
        for path in sorted(apps, key=len, reverse=True):
            below = environ["PATH_INFO"]
            if below == path or below.startswith(f"{path}/"):
                environ["SCRIPT_NAME"] += path
                environ["PATH_INFO"] = below[len(path) :]
                return apps[path](environ, start_response)
        return Response(status=404)(environ, start_response)

    return mapped
