"""nginx in front of an application, with the part of the configuration that a test is about."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.servers.ports import answers
from harness.servers.process import Child
from harness.servers.programs import NGINX
from harness.waiting import wait_until

_CONF: Final = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log notice;
worker_processes 1;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
{http}
}}
"""


@contextmanager
def running_nginx(folder: Path, port: int, http: str) -> Iterator[None]:
    """nginx with these lines within `http`, which listen on the port.

    It drops root's rights: the folder must let everybody in. Raises ServerMissing.
    """
    conf = folder / "nginx.conf"
    conf.write_text(_CONF.format(folder=folder, http=http))
    child = Child(
        [NGINX.find(), "-c", conf],
        log=folder / "nginx.log",
        folder=folder,
        stop_signal=signal.SIGQUIT,
    )
    try:
        wait_until(lambda: not child.running or answers(port), "nginx")
        assert child.running, child.output()
        yield
    finally:
        child.stop()
