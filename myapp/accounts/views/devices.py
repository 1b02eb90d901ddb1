"""The devices of an account: where somebody is signed in, and how to end that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.view import view_config, view_defaults
from sqlalchemy import select

from myapp.accounts import changes, notices
from myapp.accounts.agents import in_words
from myapp.accounts.forms import DeviceForm, PasswordForm, texts
from myapp.accounts.models import Browser
from myapp.accounts.views.answers import Answer, refuse
from myapp.accounts.views.proof import refused_proof
from myapp.sessions import SessionInfo, get_manager

_METHODS: Final = {"password": "by password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One session of a user, in words."""

    handle: str
    is_this: bool
    is_known: bool
    """Whether its browser can be given a name."""
    name: str
    browser: str
    address: str
    method: str
    signed_in: datetime | None
    last_seen: datetime
    seen_in_words: str


def ago(moment: datetime, now: datetime) -> str:
    """How long ago something was: "just now", "5 minutes ago", "3 days ago"."""
    seconds = int((now - moment).total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = seconds // length
        if count > 0:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def devices_of(request: Request) -> list[Device]:
    """The devices of the signed-in user: this one first, then by when they were last seen."""
    user = request.identity
    rows = select(Browser.handle, Browser.name).where(Browser.user_id == user.id)
    names = {row.handle: row.name for row in request.dbsession.execute(rows)}
    own, now = request.session.handle, datetime.now(UTC)
    sessions = get_manager(request).of_user(user.id)
    sessions.sort(key=lambda info: info.handle != own)
    return [_device(info, names, own, now) for info in sessions]


def _device(
    info: SessionInfo, names: Mapping[str | None, str | None], own: str, now: datetime
) -> Device:
    return Device(
        handle=info.handle,
        is_this=info.handle == own,
        is_known=info.handle in names,
        name=names.get(info.handle) or "",
        browser=in_words(info.user_agent),
        address=info.address or "",
        method=_METHODS.get(info.method or "", ""),
        signed_in=info.signed_in_at,
        last_seen=info.last_seen,
        seen_in_words=ago(info.last_seen, now),
    )


@view_config(
    route_name="devices",
    request_method="GET",
    permission="use",
    renderer="myapp.accounts:templates/devices.jinja2",
)
def devices(request: Request) -> dict[str, Any]:
    """All devices."""
    return {"devices": devices_of(request)}


class _Views:
    """What the views of one device share: somebody else's device is not to be found."""

    def __init__(self, request: Request) -> None:
        self.request, self.user = request, request.identity
        handle = request.matchdict["handle"]
        found = [device for device in devices_of(request) if device.handle == handle]
        if not found:
            raise HTTPNotFound
        self.device = found[0]

    def _back(self, message: str) -> Answer:
        self.request.session.flash(message)
        return HTTPSeeOther(self.request.route_path("devices"))


@view_defaults(
    route_name="name-device",
    permission="use",
    renderer="myapp.accounts:templates/name_device.jinja2",
)
class NameViews(_Views):
    """Giving a device a name."""

    @view_config(request_method="GET")
    def show(self) -> Answer:
        """The form."""
        form = DeviceForm(data={"name": self.device.name})
        return {"form": form, "complaint": "", "device": self.device}

    @view_config(request_method="POST")
    def rename(self) -> Answer:
        """Take the name over."""
        form = DeviceForm(texts(self.request.POST))
        if not form.validate():
            return refuse(self.request, form, device=self.device)
        where = (Browser.user_id == self.user.id, Browser.handle == self.device.handle)
        browser = self.request.dbsession.scalar(select(Browser).where(*where))
        if browser is None:
            raise HTTPNotFound
        browser.name = form.name.data or None
        return self._back("The device has a new name." if browser.name else "The name was removed.")


@view_defaults(
    route_name="end-device",
    permission="use",
    renderer="myapp.accounts:templates/end_device.jinja2",
)
class EndViews(_Views):
    """Signing another device out; the password is required."""

    @view_config(request_method="GET")
    def show(self) -> Answer:
        """Ask for the password."""
        return {"form": PasswordForm(), "complaint": "", "device": self.device}

    @view_config(request_method="POST")
    def end(self) -> Answer:
        """Sign it out."""
        form = PasswordForm(texts(self.request.POST))
        refused = refused_proof(self.request, form, device=self.device)
        if refused is not None:
            return refused
        get_manager(self.request).end(self.device.handle, user_id=self.user.id)
        notices.note(self.request, "device-signed-out", self.user.id)
        return self._back("The device is signed out.")


@view_defaults(
    route_name="end-others",
    permission="use",
    renderer="myapp.accounts:templates/end_others.jinja2",
)
class EndOthersViews:
    """Signing all other devices out; the password is required."""

    def __init__(self, request: Request) -> None:
        self.request, self.user = request, request.identity

    @view_config(request_method="GET")
    def show(self) -> Answer:
        """Ask for the password."""
        return {"form": PasswordForm(), "complaint": ""}

    @view_config(request_method="POST")
    def end(self) -> Answer:
        """Sign them out."""
        form = PasswordForm(texts(self.request.POST))
        refused = refused_proof(self.request, form)
        if refused is not None:
            return refused
        ended = changes.end_others(self.request, self.user)
        count = "One other device is" if ended == 1 else f"{ended or 'No'} other devices are"
        self.request.session.flash(f"{count} signed out.")
        return HTTPSeeOther(self.request.route_path("devices"))


def includeme(config: Configurator) -> None:
    """Name the addresses of these pages."""
    config.add_route("devices", "/account/devices")
    config.add_route("end-others", "/account/devices/end-others")
    config.add_route("name-device", "/account/devices/{handle}/name")
    config.add_route("end-device", "/account/devices/{handle}/end")
    config.scan(__name__)
