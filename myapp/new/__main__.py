"""`python -m myapp.new`."""

from myapp.new.command import main

main(prog_name="python -m myapp.new")
