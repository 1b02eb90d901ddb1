"""`python -m myapp.accounts`: the commands for accounts."""

from myapp.accounts.commands import cli

cli(prog_name="python -m myapp.accounts")
