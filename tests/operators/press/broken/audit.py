"""Its rules."""

raise RuntimeError("these rules were never tried")
