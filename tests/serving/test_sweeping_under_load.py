"""Several processes sweep one table while visitors come and go, and one sweeper is killed (W1)."""

from pathlib import Path

import pytest

from harness.servers.server import Server
from tests.serving.sweeping import Plan, run


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_sweepers_neither_lose_nor_leave_anything(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """W1: no deadlock, no live session lost, no expired row left; a killed sweeper harms nothing.

    `make torture/sweep` does the same with a million rows, and measures.
    """
    server: Server = request.getfixturevalue(database)
    with server.database() as url:
        plan = Plan(
            url=url, rows=20_000, sweepers=4, batch=50, share=0.5, folder=tmp_path, turns=1,
            phase=0.2, seconds=60,
        )  # fmt: skip
        report = run(plan)
    assert report.complaints == []
    assert report.due_at_kill > 0
    assert report.turns[0].sweeping
