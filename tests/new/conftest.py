"""A clone that codebases are made of, and one codebase to look at."""

from __future__ import annotations

import pytest

from tests.new.codebases import Codebase, Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A clone with one commit."""
    return Workshop.beginning(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def blog(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Codebase:
    """A codebase without accounts, not to be changed."""
    target = tmp_path_factory.mktemp("made") / "blog"
    return workshop.makes(target, "--without", "accounts", "--title", 'Ann\'s "Blog" & <Co>')
