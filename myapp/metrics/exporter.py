"""Shows the metrics by HTTP, at an address of their own, from whichever process gets it first.

With PROMETHEUS_MULTIPROC_DIR all processes write their numbers into files there, and the one that
has the address reads them all; when it ends another one takes its place.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from myapp.environment import SettingError
from myapp.metrics.settings import Address

log = logging.getLogger(__name__)

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus-client reads when it is imported."""


class Together:
    """The metrics of two registries: the application's own code uses prometheus-client's."""

    def __init__(self, add_up: Callable[[], None], *registries: CollectorRegistry) -> None:
        self._add_up, self._registries = add_up, registries

    def collect(self) -> Iterator[Metric]:
        """All of them, as they are now."""
        self._add_up()
        for registry in self._registries:
            yield from registry.collect()


def read_folder(environ: Mapping[str, str]) -> Path | None:
    """Where processes put their numbers together, if they do. Raises SettingError."""
    folder = environ.get(FOLDER)
    if not folder:
        return None
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise SettingError(FOLDER, folder, "the environment", "a folder to write into")
    return Path(folder)


class Exporter:
    """Answers at one address, in one process at a time."""

    def __init__(
        self,
        address: Address,
        registry: CollectorRegistry,
        folder: Path | None,
        add_up: Callable[[], None],
    ) -> None:
        """`add_up` is called before the numbers of this process are read."""
        self._address, self._registry, self._folder = address, registry, folder
        self._add_up = add_up
        self._server: Any = None
        self._has_told = False

    @property
    def is_serving(self) -> bool:
        """Whether it is this process that answers."""
        return self._server is not None

    def try_to_serve(self) -> None:
        """Answer from now on, unless another process does; the log is told once."""
        if self._server is not None:
            self._forget_the_dead()
            return
        host, port = self._address
        try:
            self._server, _ = start_http_server(port, host, self._shown())
            log.info(
                "metrics are at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port
            )
        except OSError as error:
            self._tell(error)

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _shown(self) -> Any:
        if self._folder is None:
            return Together(self._add_up, REGISTRY, self._registry)
        together = CollectorRegistry()
        collector: Any = MultiProcessCollector  # which has no types
        collector(together, str(self._folder))
        return together

    def _tell(self, error: OSError) -> None:
        is_taken = error.errno == errno.EADDRINUSE
        if self._has_told or (is_taken and self._folder is not None):
            return
        self._has_told = True
        host, port = self._address
        advice = f"; to serve several processes, set {FOLDER}" if is_taken else ""
        words = "can't serve the metrics of this process at %s, port %d: %s%s"
        log.warning(words, host, port, os.strerror(error.errno or 0), advice)

    def _forget_the_dead(self) -> None:
        """Take out what a process that has ended said of its present state."""
        if self._folder is None:
            return
        forget: Any = mark_process_dead  # which has no types
        for file in self._folder.glob("gauge_live*_*.db"):
            process = int(file.stem.rpartition("_")[2])
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                forget(process, str(self._folder))
            except PermissionError:
                pass  # it lives, as another user
