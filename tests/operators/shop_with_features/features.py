"""For another program, which imports it in its own way."""

raise RuntimeError("not for you")
