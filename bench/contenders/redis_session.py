"""pyramid_session_redis on a Redis server, with its default settings."""

from __future__ import annotations

import secrets
from functools import partial

from pyramid.config import Configurator
from pyramid.request import Request

from bench.contenders.pyramid_app import make_router, session_views
from bench.wsgi import USER, Application, WsgiProgram


class RedisSession(WsgiProgram):
    """Sessions in Redis; the id in the cookie is signed."""

    def make_app(self) -> Application:
        return make_router(session_views(sign_in, sign_out), partial(configure, url=self.url))

    def fill(self, rows: int) -> None:
        from redis import Redis

        self.new_session()
        client = Redis.from_url(self.url)
        data = client.get(next(client.scan_iter()))
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(rows):
                pipeline.set(secrets.token_hex(20), data, ex=1200)
            pipeline.execute()
        client.close()


def configure(config: Configurator, url: str) -> None:
    """Its default settings, and a cookie for HTTPS."""
    config.registry.settings |= {
        "redis.sessions.secret": "a secret of the benchmark",
        "redis.sessions.redis_url": url,
        "redis.sessions.cookie_secure": "true",
    }
    config.include("pyramid_session_redis")


def sign_in(request: Request) -> None:
    """It has no renewal: the session ends, and its contents go into a new one."""
    values = dict(request.session)
    request.session.invalidate()
    request.session.update(values | {"user": USER})


def sign_out(request: Request) -> None:
    """The key is deleted."""
    request.session.invalidate()


if __name__ == "__main__":
    RedisSession.main()
