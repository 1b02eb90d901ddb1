"""A process that ends takes none of its numbers along, where several put theirs together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.processes import ROOT, clean_environment
from harness.servers.ports import free_port

VISITS = 20

# Of three workers two are forked as servers in Python do, and one as granian does. The folder has
# to be known before prometheus-client is imported.
PROGRAM = """
import json, multiprocessing, os, sys
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from tests.sessions.app import App, create_table

folder, url, listen = sys.argv[1:]
create_table(url)


def configure(config):
    config.add_settings({"metrics.listen": listen})
    config.include("myapp.metrics")


app = App(url, {"show": lambda request: dict(request.session)}, configure=configure)


def visit():
    for _ in range(VISITS):
        app.get("/show", "x" * 43)


for _ in range(2):
    if not os.fork():
        visit()
        sys.exit()
    os.wait()
worker = multiprocessing.get_context("fork").Process(target=visit)
worker.start()
worker.join()
registry = CollectorRegistry()
MultiProcessCollector(registry, folder)
labels = {"operation": "load", "transaction": "own"}
print(json.dumps(registry.get_sample_value("myapp_session_store_seconds_count", labels)))
"""


def test_what_a_worker_noted_last_is_counted(tmp_path: Path) -> None:
    """O6: it is replaced all day long, and the sums of all must not lack its last seconds."""
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM.replace("VISITS", str(VISITS)), str(numbers)),
            *(f"sqlite:///{tmp_path / 'own.sqlite'}", f"127.0.0.1:{free_port()}"),
        ],
        cwd=ROOT,
        env=clean_environment({"PROMETHEUS_MULTIPROC_DIR": str(numbers)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == 3 * VISITS
