"""A site with accounts, on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.accounts.people import Site

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """A maker of sites on SQLite, with settings of the caller's."""
    made: list[Site] = []

    def make(**settings: str) -> Site:
        made.append(Site(f"sqlite:///{tmp_path / 'accounts.sqlite'}", **settings))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site on SQLite."""
    return make_site()


@pytest.fixture
def each_site(database_url: str) -> Iterator[Site]:
    """A site on each database in turn."""
    site = Site(database_url)
    yield site
    site.close()
