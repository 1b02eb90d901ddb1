"""The works that contenders are measured at, and the session that all of them hold.

Kept free of imports that cost, since each contender's start is measured too.
"""

from __future__ import annotations

from typing import Any, Final

WORKS: Final = {
    "read": "read one key",
    "write": "increment a counter",
    "nested": "change a value inside a value",
    "untouched": "a page without a session",
    "anonymous": "read without a cookie",
    "two": "read two kinds of session",
    "touches": "read, and 5 % write that the session is in use",
    "conflicts": "write, and 5 % meet a conflict",
    "sign-in": "sign in, with a new token",
    "first": "store a new session",
    "sign-out": "sign out",
}
"""Name and meaning. Those that add rows come last."""

RARE: Final = 20
"""Every so many requests of the works with 5 %, one is the other kind."""

COUNTER: Final = "count"
KEY: Final = "name"
VALUE: Final = "Ada Lovelace"


def contents() -> dict[str, Any]:
    """What each session holds: 500 bytes as compact JSON."""
    return {
        "count": 0,
        "name": VALUE,
        "email": "ada@analytical.example",
        "theme": "dark",
        "cart": {
            "lines": [
                {"item": f"cog-{number:04}", "price": 1250 + number, "amount": 1}
                for number in range(5)
            ],
            "coupon": None,
        },
        "seen": [f"/catalogue/gears/{number:05}" for number in range(5)],
        "return_to": "/account/orders/1",
    }
