"""`audit` of an application with log lines of ours."""

from __future__ import annotations

from pathlib import Path

from tests.operators.own import audit, failed, write
from tests.operators.own import ini as ini


def test_a_formatter_that_masks_nothing_fails(ini: Path) -> None:
    """O2, O5: logs leave a class of somebody's own as it is."""
    write(ini, **{"pyramid.includes": "myapp.sessions myapp.logs"})
    assert audit(ini)["ASVS 16.2.5"]["result"] == "ok"
    ini.write_text(f"{ini.read_text()}[formatter_own]\nclass = shop.Formatter\n")
    lines = audit(ini)
    assert failed(lines) == ["ASVS 16.2.5"]
    assert "[formatter_own]" in lines["ASVS 16.2.5"]["to_set"]
