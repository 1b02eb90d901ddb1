"""Creates a codebase of your own from this application: `python -m myapp.new ../blog`.

The files come from a commit of this repository, so that only tested code is generated. Each module
makes one kind of change to them and does not know the others; `render` sets the order.
"""
