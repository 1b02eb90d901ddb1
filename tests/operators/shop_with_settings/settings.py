"""For another program, which imports it in its own way."""

raise SystemExit("not for you")
