"""The models' tables, in an empty database."""

from __future__ import annotations

from sqlalchemy import NullPool

from myapp import features, models
from myapp.database import create_database_engine
from myapp.models.meta import Base
from myapp.sessions import model

# Imported for their models alone.
assert models
MODELS = list(features.modules("models"))


def make_tables(url: str) -> None:
    """Create the tables of the application and of the sessions."""
    engine = create_database_engine(url, poolclass=NullPool)
    for metadata in (Base.metadata, model.metadata):
        metadata.create_all(engine)
