"""Moves applications with the real old packages, under traffic: `make test/moving`."""
