"""A feature that nobody includes, whose folder stayed."""
