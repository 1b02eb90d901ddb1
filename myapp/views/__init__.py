"""What the application shows and accepts; of sessions the views know `request.session` alone."""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Register every view of this package; each POST needs a CSRF token."""
    # A misspelt name in a template is an error, never an empty spot on the page.
    config.add_settings({"jinja2.undefined": "strict"})
    config.include("pyramid_jinja2")
    config.include("myapp.views.reading")
    config.set_default_csrf_options(require_csrf=True, check_origin=False)
    config.scan(__name__)
