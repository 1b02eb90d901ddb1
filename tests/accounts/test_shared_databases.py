"""Two applications with accounts on one database."""

import pytest

from myapp import migrations
from myapp.migrations import Names
from tests.test_migrations import tables


def test_the_accounts_of_another_application_are_left_alone(database_url: str) -> None:
    """C, C2: the second one is refused in one line, and what it may have of its own stays."""
    migrations.upgrade(database_url, names=Names(sessions="ones", versions="one_version"))
    second = Names(sessions="others", versions="other_version")
    with pytest.raises(migrations.MigrationError, match="there is already a table 'users'"):
        migrations.upgrade(database_url, names=second)
    assert tables(database_url) >= {"users", "ones", "one_version"}
