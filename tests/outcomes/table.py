"""What becomes of a session, by the outcome of its request: the one source of test and page.

`python -m tests.outcomes.table` prints the table that docs/explanation/transactions.md shows.
"""

from __future__ import annotations

from dataclasses import dataclass

VETOES = ("unset", "default")
DBSESSIONS = ("unused", "read", "written", "elsewhere", "collided")
"""How the view uses request.dbsession; `collided` reads, then another request changes the
session, and only then this one loads it."""
JOINED = ("read", "written")
"""The uses of request.dbsession with which the session is saved within the transaction."""
ACTIONS = ("changed", "renewed", "signed_in", "ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way in which a request can end."""

    name: str
    words: str
    commits: bool
    """Whether pyramid_tm commits without a commit veto."""
    commits_with_veto: bool
    """Whether it does with pyramid_tm.default_commit_veto."""
    status: int | None
    """Of the final response; None where there is none."""
    savable: bool = True
    """False where the session's own data are at fault."""
    cut: bool = False
    """Whether the connection breaks at the COMMIT: only where there is one, and one to a server."""
    resource: bool = False
    """Whether something that is no database takes part: it may have written, for all we know."""

    def is_committed(self, veto: str) -> bool:
        """What becomes of the application's data."""
        return self.commits if veto == "unset" else self.commits_with_veto


ROWS = (
    Row(name="return_200", words="returns 200", commits=True, commits_with_veto=True, status=200),
    Row(
        name="return_302", words="returns a redirect", commits=True, commits_with_veto=True,
        status=302,
    ),
    Row(name="return_404", words="returns 4xx", commits=True, commits_with_veto=False, status=404),
    Row(name="return_503", words="returns 5xx", commits=True, commits_with_veto=False, status=503),
    Row(
        name="raise_302", words="raises a redirect", commits=False, commits_with_veto=True,
        status=302,
    ),
    Row(name="raise_403", words="raises 4xx", commits=False, commits_with_veto=False, status=403),
    Row(
        name="view_200", words="raises, rendered as 200", commits=False,
        commits_with_veto=True, status=200,
    ),
    Row(
        name="view_409", words="raises, rendered as 4xx", commits=False,
        commits_with_veto=False, status=409,
    ),
    Row(
        name="view_500", words="raises, rendered as 5xx", commits=False,
        commits_with_veto=False, status=500,
    ),
    Row(
        name="unhandled", words="raises, and nobody handles it", commits=False,
        commits_with_veto=False, status=None,
    ),
    Row(
        name="doomed", words="calls tm.doom()", commits=False, commits_with_veto=False, status=200
    ),
    Row(
        name="x_tm", words="returns 200 with X-Tm: abort", commits=True, commits_with_veto=False,
        status=200,
    ),
    Row(
        name="integrity", words="returns 200, the commit fails, rendered as 4xx",
        commits=False, commits_with_veto=False, status=409, resource=True,
    ),
    Row(
        name="retried", words="returns 200, the commit loses a race and is retried",
        commits=True, commits_with_veto=True, status=200,
    ),
    Row(
        name="unsavable", words="returns 200, the session can't be saved", commits=True,
        commits_with_veto=True, status=500, savable=False,
    ),
    Row(
        name="refused", words="returns 200, the database refuses the session", commits=True,
        commits_with_veto=True, status=503, savable=False,
    ),
    Row(
        name="cut_before", words="returns 200, the connection breaks before the commit",
        commits=False, commits_with_veto=False, status=503, cut=True,
    ),
    Row(
        name="cut_after", words="returns 200, the commit is made and its answer lost",
        commits=True, commits_with_veto=True, status=503, cut=True,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found afterwards."""

    data: bool
    """The application's row is there, where it wrote one."""
    saved: bool
    """The session is as the view left it; for an ending: it is ended."""
    cookie: str
    """`new`, `deleted` or `none`."""


def expected(row: Row, veto: str, dbsession: str, action: str) -> Expected:
    """The rule of S6."""
    committed = row.is_committed(veto)
    joined = dbsession in JOINED
    if action == "ended":
        if not row.savable:
            raise ValueError("an ending has no data that could be at fault")
        return Expected(committed, True, "none" if row.status is None else "deleted")
    if not row.savable:
        # Within the commit nothing is committed; after it, it is too late for that.
        return Expected(committed and not joined, False, "none")
    saved = committed or (row.status is not None and row.status < 500)
    wrote = row.resource or dbsession in ("written", "elsewhere")
    if action == "signed_in" and not committed and wrote:
        saved = False
    cookie = "new" if saved and action in ("renewed", "signed_in") else "none"
    return Expected(committed, saved, cookie)


def markdown() -> str:
    """The table for the documentation."""
    lines = [
        "| the view … | commit veto | application's data | session changed or renewed"
        " | signed in, and wrote data |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        verdicts = {veto: _verdict(row, veto) for veto in VETOES}
        if verdicts["unset"] == verdicts["default"]:
            lines.append(f"| {row.words} | either | {verdicts['unset']} |")
        else:
            lines += [f"| {row.words} | {veto} | {verdicts[veto]} |" for veto in VETOES]
    return "\n".join(lines) + "\n"


def _verdict(row: Row, veto: str) -> str:
    words = {True: "kept", False: "dropped"}
    data = "kept" if row.is_committed(veto) else "rolled back"
    if not row.savable:
        return "rolled back if joined, else kept | dropped | dropped"
    changed = expected(row, veto, "written", "changed")
    signed_in = expected(row, veto, "written", "signed_in")
    return f"{data} | {words[changed.saved]} | {words[signed_in.saved]}"


if __name__ == "__main__":
    print(markdown(), end="")
