"""Its table."""

TABLE = {"tableless.on": True}
