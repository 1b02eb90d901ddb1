"""docs/how-to/models.md, to the letter, in a copy of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.following import BIN, Follower
from tests.own_application import HOW_TO, block

PAGE = HOW_TO / "models.md"
IMPORTED = block(PAGE, "Note as Note")

# Of types that alembic only names in a migration: a project's own, and those within another.
TYPES = """
from sqlalchemy import ARRAY, JSON, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from myapp.models.meta import Base


class Lower(TypeDecorator[str]):
    impl = String
    cache_ok = True


class Label(Base):
    __tablename__ = "labels"

    name: Mapped[str] = mapped_column(Lower(20), primary_key=True)
    data: Mapped[str] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    tags: Mapped[str] = mapped_column(JSON().with_variant(ARRAY(String(9)), "postgresql"))
"""


@pytest.fixture
def reader(tmp_path: Path) -> Follower:
    """Somebody who has written what the page says."""
    reader = Follower(PAGE, tmp_path / "copy")
    reader.write("myapp/models/note.py", "class Note(")
    reader.write("myapp/views/board.py", "def show(")
    reader.write("tests/functional/test_board.py", "def test_")
    known = "from myapp.models.probe"
    reader.replace("myapp/models/__init__.py", known, IMPORTED + known)
    reader.add_below("myapp/routes.py", '"health"', "add_route")
    return reader


def test_a_model_gets_a_migration_that_the_checks_accept(reader: Follower) -> None:
    """G3: written, checked, applied, tried by the page's test; whatever the message says."""
    reader.make("migrations/up")
    message = f'MESSAGE=add "notes\\x", {"a long word, " * 9}said "Ann"'
    reader.make("migrations/new", message)
    (written,) = (reader.copy / "alembic" / "versions").glob("*_add_notes*.py")
    assert "batch_op.create_index" in written.read_text()
    reader.run(BIN / "ruff", "format", "--check")
    reader.run(BIN / "ruff", "check")
    reader.make("migrations/up")
    reader.run(BIN / "alembic", "check")
    (reader.copy / "myapp" / "models" / "label.py").write_text(TYPES.lstrip())
    labels = "from myapp.models.label import Label as Label\n"
    reader.replace("myapp/models/__init__.py", IMPORTED, labels + IMPORTED)
    reader.make("migrations/new", "MESSAGE=labels")
    reader.make("migrations/up")
    reader.run(BIN / "ruff", "check", "alembic")
    reader.make("migrations/new", "MESSAGE=nothing at all")
    reader.run(BIN / "ruff", "check")
    reader.run(BIN / "ruff", "format", "--check")
    assert "1 passed" in reader.test("tests/functional/test_board.py")
