"""A clone that codebases are made of, and one codebase to look at."""

from __future__ import annotations

import pytest

from tests.new.codebases import Codebase, Workshop
from tests.test_docs import DELETED


@pytest.fixture(scope="session", autouse=True)
def _whole_project() -> None:
    """What is left when features were deleted is a codebase itself, and nothing to make any of."""
    if DELETED:
        pytest.skip(f"codebases are made of the whole project, and this lacks {DELETED}")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A clone with one commit."""
    return Workshop.beginning(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def blog(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Codebase:
    """A codebase without accounts, not to be changed."""
    target = tmp_path_factory.mktemp("made") / "blog"
    return workshop.makes(target, "--without", "accounts", "--title", 'Ann\'s "Blog" & <Co>')
