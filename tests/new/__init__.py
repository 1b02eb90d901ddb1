"""Codebases of one's own; what takes long is in files that only `make test/codebases` runs."""
