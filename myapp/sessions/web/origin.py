"""Whether a page of this site sent a request, judged by the browser's headers, not the session.

An attacker can make a browser send a form, but can't make it lie in these headers. A missing header
must never count as proof here.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pyramid.request import Request
from pyramid.settings import aslist
from pyramid.util import is_same_domain

TRUSTED: Final = "pyramid.csrf_trusted_origins"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class _Place(NamedTuple):
    """A parsed origin."""

    scheme: str
    host: str
    port: int | None
    """None for the scheme's default port."""


def is_ours(request: Request) -> bool | None:
    """True for a page of this site or of a trusted origin, False for any other page; None if the
    client sent neither Sec-Fetch-Site nor Origin, so that nobody can tell.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    if site in ("same-site", "cross-site"):
        return _comes_from(request, origin or "", own=False)
    return _comes_from(request, origin, own=True) if origin else None


def _comes_from(request: Request, origin: str, *, own: bool) -> bool:
    """Whether the origin is trusted or, if `own` may count, is this site."""
    sent, here = _parsed(origin), _parsed(request.host_url)
    if sent is None or here is None:
        return False
    # What arrives over http may have been changed on the way. But behind a proxy that terminates
    # TLS we may see http while the browser uses https: then both are this site.
    if here.scheme == "https" and sent.scheme != "https":
        return False
    return (own and _is_host(sent, here)) or _is_trusted(request, sent)


def _is_host(sent: _Place, here: _Place) -> bool:
    """Whether both are one host and port. A proxy may add its own default port to the host, be it
    that of the other scheme.
    """
    port = None if here.port in _DEFAULT_PORTS.values() else here.port
    usual = _DEFAULT_PORTS[sent.scheme]
    return sent.host == here.host and (sent.port or usual) == (port or usual)


def _is_trusted(request: Request, sent: _Place) -> bool:
    """Whether the setting lists it, as `example.com`, `.example.com` or `example.com:8443`."""
    host = f"[{sent.host}]" if ":" in sent.host else sent.host
    names = {f"{host}:{sent.port or _DEFAULT_PORTS[sent.scheme]}"}
    if sent.port is None:
        names.add(host)
    listed = aslist((request.registry.settings or {}).get(TRUSTED, ()))
    return any(is_same_domain(name, pattern) for name in names for pattern in listed)


def _parsed(text: str) -> _Place | None:
    """An origin, or None where the text is something else, such as `null`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    # An origin is a scheme, a host and perhaps a port.
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not plain:
        return None
    usual = port == _DEFAULT_PORTS[parts.scheme]
    return _Place(parts.scheme, parts.hostname, None if usual else port)
