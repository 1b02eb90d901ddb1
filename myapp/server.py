"""waitress for pserve, on the port that the command line says.

In an ini file `%(http_port)s` takes the value of [DEFAULT] even if the command line has another;
what a server is called with is right.
"""

from __future__ import annotations

from typing import Any

from waitress import serve_paste


def serve(app: Any, global_config: dict[str, str], *, host: str, **options: str) -> int:
    """Serve until the process ends; `options` are waitress's, `http_port` is a global value."""
    listen = f"{host}:{global_config['http_port']}"
    result: int = serve_paste(app, global_config, listen=listen, **options)
    return result
