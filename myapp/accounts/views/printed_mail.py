"""The mails that were printed, for a developer to read and to click."""

from __future__ import annotations

import re
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config

from myapp.accounts.parts import parts_of

_LOOPBACK: Final = ("127.0.0.1", "::1")
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
_LINK: Final = re.compile(r"(https?://\S+)")


@view_config(
    route_name="printed-mail",
    request_method="GET",
    renderer="myapp.accounts:templates/printed_mail.jinja2",
)
def printed_mail(request: Request) -> dict[str, Any]:
    """The newest first. For nobody but a browser on this machine: mails open accounts."""
    if request.remote_addr not in _LOOPBACK or request.domain not in _LOCAL_HOSTS:
        raise HTTPNotFound
    request.response.cache_control = "no-store"
    mails = parts_of(request).mailer.transport.printed
    return {"mails": [_shown(mail) for mail in reversed(mails)]}


def _shown(mail: Any) -> dict[str, Any]:
    """A mail's head, and its text in pieces, of which every other one is a link."""
    text = mail.get_content()
    return {"to": mail["To"], "subject": mail["Subject"], "pieces": _LINK.split(text)}


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("printed-mail", "/dev/mail")
    config.scan(__name__)
