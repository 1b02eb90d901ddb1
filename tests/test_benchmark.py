"""The benchmark: its programs speak their protocol, and its report says what was measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import report
from bench.contender import Contender, ContenderFailed, Running, built, register
from bench.lockstep import measure
from bench.works import WORKS, contents
from harness.processes import ROOT

PEERS = "bench/requirements.txt"
BY_NAME = {contender.name: contender for contender in register()}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite:///{tmp_path / 'bench.sqlite'}"


@pytest.mark.parametrize("name", ["LIMIT", "LIMIT, msgspec", "myapp", "myapp, joined"])
def test_what_is_measured_is_proved_first(url: str, name: str) -> None:
    """Hand-written code and ours do each work, as a second application sees it."""
    with Running(BY_NAME[name], url, 3) as running:
        for work in WORKS:
            running.check(work)
            assert running.run(work, 20) > 0


def test_contenders_take_turns_and_are_compared_within_a_round(tmp_path: Path) -> None:
    """A row for each, with quartiles in order, and hand-written code is once itself."""
    bare, limit, ours = (BY_NAME[name] for name in ("bare Pyramid", "LIMIT", "myapp"))
    urls = [f"sqlite:///{tmp_path / name}" for name in "abc"]
    with (
        Running(bare, urls[0], 0) as one,
        Running(limit, urls[1], 3) as two,
        Running(ours, urls[2], 3) as three,
    ):
        rows = measure([one, two, three], "read", seconds=0)
    assert [row["contender"] for row in rows] == ["bare Pyramid", "LIMIT", "myapp"]
    assert all(row["us"] == sorted(row["us"]) and row["us"][0] > 0 for row in rows)
    assert rows[1]["ratio"] == [1.0, 1.0, 1.0]
    # How they compare depends on how busy the machine is.
    assert all(row[key] == sorted(row[key]) for row in rows for key in ("ratio", "times_bare"))
    assert rows[0]["times_bare"] == [1.0, 1.0, 1.0]


def test_it_is_told_where_the_time_goes() -> None:
    """Each statement of hand-written code and of ours, and what is left."""
    command = [sys.executable, "-m", "bench.parts", "--rounds", "2", "--rows", "3"]
    done = subprocess.run(
        [*command, "first", "sign-out"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, sign_out = done.stdout.split("sign-out: ")
    assert first.count(" INSERT INTO ") == 2
    assert all(f" {word} " in sign_out for word in ("SELECT", "UPDATE", "DELETE"))
    assert first.count("of them Python's") == sign_out.count("of them Python's") == 2


def test_what_a_contender_can_not_do_is_said() -> None:
    """An unknown work is unsupported, and the contender goes on."""
    with Running(BY_NAME["bare Pyramid"], "none:", 0) as running:
        assert not running.can("sign-in")
        with pytest.raises(ContenderFailed, match="unsupported"):
            running.run("sign-in", 1)
        assert running.run("read", 1) > 0


def test_a_contender_in_another_language_takes_part(tmp_path: Path) -> None:
    """Lines are all that it needs: here it is a script of the shell."""
    program = tmp_path / "program"
    program.write_text(
        "echo ready\n"
        "while read -r verb work count; do\n"
        '  case "$verb" in\n'
        "    works) echo ok read ;;\n"
        "    run) echo ok $((count * 1000)) ;;\n"
        "    *) exit ;;\n"
        "  esac\n"
        "done\n"
    )
    contender = Contender(name="sh", command=("sh", str(program), "{url}"), databases=("sqlite",))
    with Running(contender, "none:", 0) as running:
        assert running.can("read")
        assert running.run("read", 7) == 7000


def test_a_contender_is_built_before_it_runs(tmp_path: Path) -> None:
    """In a copy of its folder, so that a build leaves nothing in the project."""
    source = "go_scs"
    script = "touch left; printf 'echo ready; read -r line; echo ok read' > {program}"
    contender = Contender(
        name="made",
        folder=f"contenders/{source}",
        build=("sh", "-c", script),
        command=("sh", "{program}"),
        databases=("sqlite",),
    )
    with Running(built(contender, tmp_path), "none:", 0) as running:
        assert running.works == ["read"]
    assert (tmp_path / "sources" / "left").exists()
    assert not (ROOT / "bench" / "contenders" / source / "left").exists()


def test_a_contender_that_can_not_be_built_is_named(tmp_path: Path) -> None:
    """Without what the build said: it names what a report must not."""
    contender = Contender(
        name="torn", folder="contenders/go_scs", build=("false",), command=(), databases=()
    )
    with pytest.raises(ContenderFailed, match=r"torn is left out: it could not be built$"):
        built(contender, tmp_path)


def test_a_contender_whose_program_is_missing_is_named(tmp_path: Path) -> None:
    """So that a reader knows who could have been there."""
    contender = Contender(name="absent", needs="no-such-program", command=(), databases=())
    with pytest.raises(ContenderFailed, match=r"absent is left out: no-such-program is not inst"):
        built(contender, tmp_path)


def test_a_contender_that_ends_is_no_riddle() -> None:
    """The one who fails is named."""
    contender = Contender(name="short", command=("true",), databases=("sqlite",))
    with pytest.raises(ContenderFailed, match="short has ended"), Running(contender, "none:", 0):
        pass


def test_a_session_holds_what_the_report_says() -> None:
    """500 bytes of compact JSON, and somewhat less as it is stored."""
    assert len(json.dumps(contents(), separators=(",", ":"))) == 500
    assert 350 < len(msgspec.msgpack.encode(contents())) < 500


def test_every_contender_is_compared_with_one_that_runs_beside_it() -> None:
    """Else its ratio would be missing without a word."""
    for contender in BY_NAME.values():
        reference = BY_NAME[contender.reference]
        assert set(contender.databases) <= set(reference.databases)
        assert contender.group == reference.group


def test_the_peers_are_locked_beside_the_versions_that_we_ship() -> None:
    """A package in both files has one version: what is measured is what is shipped."""
    ours, theirs = (_locked(ROOT / name) for name in ("requirements-dev.txt", PEERS))
    assert "django" in theirs
    assert {name: theirs[name] for name in ours.keys() & theirs} == {
        name: ours[name] for name in ours.keys() & theirs
    }


def _locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", report.PAGES.values(), ids=lambda page: page.name)
def test_the_report_is_what_the_kept_results_say(page: Path) -> None:
    """No figure in it was written by hand: `make bench/report` writes it anew."""
    assert page.read_text("utf-8") == report.render()[page]


def test_the_report_needs_nothing_of_the_peers() -> None:
    """Its pages are rendered without what draws the pictures, so that this can be tested."""
    code = (
        "import sys; from bench import report; report.render(); print('matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
