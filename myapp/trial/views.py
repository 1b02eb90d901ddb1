"""The page to try sessions on: each form changes one thing, and redirects back with a message.

Looking at the page starts no session; the first thing to remember does.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config, view_defaults

from myapp.trial.forms import Form, read_entry, read_message, read_typed
from myapp.views.contents import overview

Answer: TypeAlias = Response | dict[str, Any]


@view_defaults(renderer="myapp.trial:templates/try.jinja2")
class TrialViews:
    """One method a button."""

    def __init__(self, request: Request) -> None:
        self.request, self.session = request, request.session

    @view_config(route_name="try", request_method="GET")
    def show(self) -> Answer:
        """The forms, over what the session holds."""
        return self._page(Form())

    @view_config(route_name="try", request_method="POST")
    def store(self) -> Answer:
        """Store a value under a key."""
        form = read_entry(self.request.POST)
        if form.errors:
            return self._refuse(form)
        self.session[form.key] = form.value
        return self._back(f"Stored a value under “{form.key}”.")

    @view_config(route_name="count")
    def count(self) -> Answer:
        """Count one up."""
        self.session["counter"] = counter(self.session) + 1
        return self._back(f"Counted to {self.session['counter']}.")

    @view_config(route_name="remove")
    def remove(self) -> Answer:
        """Remove one key."""
        key = read_entry(self.request.POST).key
        if key not in self.session:
            return self._back(f"There is no longer anything under “{key}”.")
        del self.session[key]
        return self._back(f"Removed “{key}”.")

    @view_config(route_name="flash")
    def flash(self) -> Answer:
        """Leave a message for the next page."""
        form = read_message(self.request.POST)
        return self._refuse(form) if form.errors else self._back(form.message)

    @view_config(route_name="renew")
    def renew(self) -> Answer:
        """Give the session a new token."""
        self.session.renew()
        return self._back(
            "Your session has a new token and the same data. The old one no longer works."
        )

    @view_config(route_name="forget")
    def forget(self) -> Answer:
        """End the session; the confirmation is in the address, since nothing else is left."""
        self.session.invalidate()
        return HTTPSeeOther(self.request.route_path("home", _query="forgotten"))

    def show_again(self) -> Answer:
        """The page with what was typed, for a browser that does not say where a form comes from.

        The token that its forms have from here on will do instead.
        """
        self.session.get_csrf_token()
        return self._refuse(read_typed(self.request.POST), status=400)

    def _page(self, form: Form) -> Answer:
        """What the template needs."""
        return {**overview(self.session), "counter": counter(self.session), "form": form}

    def _refuse(self, form: Form, status: int = 422) -> Answer:
        """The page again, with what was sent and what is wrong with it."""
        self.request.response.status_int = status
        return self._page(form)

    def _back(self, message: str) -> Answer:
        """Back to the page with a message, by a redirect: a reload then repeats nothing."""
        self.session.flash(message)
        return HTTPSeeOther(self.request.route_path("try"))


def counter(session: Any) -> int:
    """How often the visitor counted; 0 too where something else is stored under that key."""
    count = session.get("counter")
    return count if type(count) is int else 0
