"""The answers that several pages give."""

from __future__ import annotations

from typing import Any, TypeAlias

from pyramid.request import Request
from pyramid.response import Response
from wtforms import Form

Answer: TypeAlias = Response | dict[str, Any]


def refuse(request: Request, form: Form, complaint: str = "", **more: Any) -> dict[str, Any]:
    """The page again, as it was filled in; `complaint` is about the form as a whole."""
    request.response.status_int = 422
    return {"form": form, "complaint": complaint, **more}


def put_off(request: Request, form: Form, wait: int, **more: Any) -> dict[str, Any]:
    """The page again, for somebody who has tried too often and is to wait for so many seconds."""
    complaint = f"There were too many attempts. Please wait {in_words(wait)}, then try again."
    answer = refuse(request, form, complaint, **more)
    request.response.status_int = 429
    request.response.headers["Retry-After"] = str(wait)
    return answer


def ask_again(request: Request, form: Form, **more: Any) -> dict[str, Any]:
    """The page again, since the browser did not tell where the form came from: with a token, which
    then does.
    """
    # One that is there stays: the forms of other tabs bear it.
    request.session.get_csrf_token()
    complaint = "Your browser did not say where this form came from. Please send it again."
    answer = refuse(request, form, complaint, **more)
    request.response.status_int = 400
    return answer


def in_words(seconds: int) -> str:
    """A time to wait, rounded up: "a moment", "2 minutes", "an hour"."""
    if seconds <= 10:
        return "a moment"
    minutes = -(-seconds // 60)
    if minutes <= 1:
        return "a minute"
    if minutes < 55:
        return f"{minutes} minutes"
    hours = round(minutes / 60)
    return "an hour" if hours == 1 else f"{hours} hours"
