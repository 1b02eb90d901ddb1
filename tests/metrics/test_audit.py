"""`audit` of an application with metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.servers.ports import answers, free_port
from tests.operators.own import audit, failed, write
from tests.operators.own import ini as ini

INCLUDES = {"pyramid.includes": "myapp.sessions myapp.metrics"}

ADDRESSES = {
    "127.0.0.1": True,
    "10.0.0.5": True,
    "[fd00::1]": True,
    "0.0.0.0": False,
    "[::]": False,
    "192.88.99.7": False,
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_metrics_are_not_open_to_the_world(ini: Path, address: str) -> None:
    """O2, O6: a private address is one for which somebody has decided."""
    listen = {"metrics.listen": f"{address}:9464", "metrics.public": "true"}
    lines = audit(write(ini, **INCLUDES, **listen))
    assert (failed(lines) == []) is ADDRESSES[address]
    assert f"metrics.listen = {address}:9464" in lines["ASVS 13.4.5"]["evidence"]


def test_auditing_opens_no_address(ini: Path) -> None:
    """O2: and asks for a page all the same."""
    port = free_port()
    assert failed(audit(write(ini, **INCLUDES, **{"metrics.listen": f"127.0.0.1:{port}"}))) == []
    assert not answers(port)
