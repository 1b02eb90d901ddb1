"""The store in a SQL database: SQLAlchemy is known here, Pyramid is not."""
