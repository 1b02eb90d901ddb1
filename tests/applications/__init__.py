"""Other people's packages with our sessions in place of theirs: `make test/applications`."""
