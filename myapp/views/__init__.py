"""What the application shows and accepts; of sessions the views know `request.session` alone."""

from __future__ import annotations

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    """Register the frame of all pages, and every view of this package.

    Each POST must come from a page of ours, by the sessions' rule and not by Pyramid's (A13).
    """
    # A misspelt name in a template is an error, not an empty spot on the page.
    config.add_settings({"jinja2.undefined": "strict"})
    config.include("pyramid_jinja2")
    # The templates of a feature extend `page.jinja2`, wherever they are themselves.
    config.add_jinja2_search_path("myapp:templates")
    config.include("myapp.views.health")
    config.include("myapp.views.reading")
    config.include("myapp.views.navigation")
    config.set_default_csrf_options(require_csrf=True, check_origin=False)
    config.scan(__name__)
