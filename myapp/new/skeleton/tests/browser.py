"""A stand-in for a browser."""

from __future__ import annotations

from typing import Any

from webtest import TestApp


def visitor(app: Any) -> TestApp:
    """Somebody without a session, who sends what a browser sends with a form.

    It uses https, since WebTest does not send Secure cookies over plain http.
    """
    environ = {
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "localhost",
        "HTTP_ORIGIN": "https://localhost",
        "REMOTE_ADDR": "127.0.0.1",
    }
    return TestApp(app, extra_environ=environ)
