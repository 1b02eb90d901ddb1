"""Free ports on the loopback interface.

The ports lie below those that the system hands to clients: a server that is killed must find its
port free when it comes back, and a client of a dead server must not connect to itself.
"""

import random
import socket

LOOPBACK = "127.0.0.1"
_RANGE = range(20_000, 32_000)
# What was handed out stays taken in this process, although its server may not listen yet.
_taken: set[int] = set()


def free_port() -> int:
    """Return a port on which nothing listens and which was not handed out before."""
    for port in random.sample(_RANGE, len(_RANGE)):
        if port not in _taken and _is_free(port):
            _taken.add(port)
            return port
    raise RuntimeError(f"no free port between {_RANGE.start} and {_RANGE.stop}")


def answers(port: int) -> bool:
    """Tell whether something accepts connections on the port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this option too: a port that only lingers from closed connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
