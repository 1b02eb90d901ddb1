"""Makes a codebase of one's own from this application: `python -m myapp.new ../blog`.

The files come from a commit of this repository, so that what is generated is what was tested. Each
module does one thing to them, and knows nothing of the others; `render` is the order.
"""
