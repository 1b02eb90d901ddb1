"""Caddy in front of an application, with a Caddyfile of the project and its own certificates."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.servers.ports import LOOPBACK
from harness.servers.process import Child
from harness.servers.programs import CADDY
from harness.waiting import wait_until

_OPTIONS: Final = """
{{
    admin off
    http_port {http}
    https_port {https}
    default_bind {loopback}
    local_certs
    skip_install_trust
    storage file_system {folder}/storage
}}
"""
AUTHORITY: Final = Path("storage/pki/authorities/local/root.crt")
"""The path, within the folder, of the certificate that signs Caddy's own."""


@contextmanager
def running_caddy(
    folder: Path, caddyfile: Path, site: str, servers: Sequence[int], *, http: int, https: int
) -> Iterator[Child]:
    """Caddy with this Caddyfile before servers on those ports. Raises ServerMissing."""
    options = _OPTIONS.format(http=http, https=https, loopback=LOOPBACK, folder=folder)
    conf = folder / "Caddyfile"
    conf.write_text(options + caddyfile.read_text("utf-8"))
    addresses = " ".join(f"{LOOPBACK}:{port}" for port in servers)
    child = Child(
        [CADDY.find(), "run", "--config", conf, "--adapter", "caddyfile"],
        log=folder / "caddy.log",
        folder=folder,
        environment={**os.environ, "HOME": str(folder), "SITE": site, "SERVERS": addresses},
    )
    try:
        wait_until(lambda: not child.running or _ready(folder / AUTHORITY, site, https), "Caddy")
        assert child.running, child.output()
        yield child
    finally:
        child.stop()


def _ready(authority: Path, site: str, https: int) -> bool:
    """Whether the site is there. Its certificate may be made after the port has been opened."""
    if not authority.exists():
        return False
    context = ssl.create_default_context(cafile=authority)
    try:
        with socket.create_connection((LOOPBACK, https), 5) as plain:
            context.wrap_socket(plain, server_hostname=site).close()
    except OSError:
        return False
    return True
