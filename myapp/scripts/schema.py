"""Prints the SQL of all tables: `python -m myapp.scripts.schema postgresql`.

For those who make tables without migrations; with them, `alembic upgrade head --sql` prints it.
"""

from __future__ import annotations

import click

from myapp import features, models
from myapp.models.meta import Base
from myapp.scripts.sessions.schema import DIALECTS, ddl, dialect_of
from myapp.sessions import model

# Imported for their models alone.
assert models
MODELS = list(features.modules("models"))


@click.command()
@click.argument("dialect", type=click.Choice(DIALECTS))
@click.option("--table", default="sessions", show_default=True, help="As in session.table.")
def main(dialect: str, table: str) -> None:
    """Print the SQL that creates the tables of the sessions and of the models."""
    tables = [model.named(table), *Base.metadata.sorted_tables]
    click.echo("\n\n".join(ddl(dialect_of(dialect), each) for each in tables))


if __name__ == "__main__":
    main()
