"""Pyramid without any session: what a page costs at the least."""

from __future__ import annotations

from bench.contenders.pyramid_app import Views, make_router, text
from bench.works import VALUE
from bench.wsgi import PLAIN, Application, WsgiProgram


class Bare(WsgiProgram):
    """Answers what the others answer, from constants."""

    works = ("read", "write", "untouched", "anonymous")

    def make_app(self) -> Application:
        views: Views = {
            "plain": lambda request: text(PLAIN),
            "read": lambda request: text(VALUE),
            "write": lambda request: text("1"),
        }
        return make_router(views)

    def new_session(self, path: str = "/first") -> str:
        """A cookie as the others have one."""
        return "session=" + "a" * 43

    def fill(self, rows: int) -> None:
        """There is nothing to fill."""

    def check(self, work: str) -> None:
        """There is nothing to look at: it is no session."""


if __name__ == "__main__":
    Bare.main()
