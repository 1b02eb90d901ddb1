"""Runs of the suite where myapp is said to work: other Pythons, packages and databases.

Each has an environment of its own; `make test` has nothing to do with them.
"""
