"""The tests: they mirror the package, and their helpers live beside them.

Helpers are modules that a test imports; a conftest holds fixtures and nothing else.
"""
