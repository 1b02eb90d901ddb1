"""What is imported before the commands of `harness.warm` are forked."""

from importlib import import_module
from typing import Final

from myapp import features

LIBRARIES: Final = (
    *("alembic.autogenerate", "alembic.command", "alembic.config", "pyramid.paster"),
    *("sqlalchemy.dialects.mysql.pymysql", "sqlalchemy.dialects.postgresql.psycopg"),
    *("sqlalchemy.dialects.sqlite.pysqlite", "myapp.database", "myapp.migrations"),
)

MODULES: Final = [*map(import_module, LIBRARIES), *features.modules("models")]
