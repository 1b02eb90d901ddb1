"""The project without some of its features, each run in a copy: `make test/features`.

It takes too long for `make test`, and the names of the files keep it out.
"""
