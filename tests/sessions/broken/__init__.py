"""Stores with one mistake each, for `tests.sessions.test_broken_stores`.

Each is a small subclass of MemoryStore whose docstring says what comes of the mistake.
"""
