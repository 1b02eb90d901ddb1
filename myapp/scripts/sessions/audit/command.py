"""The command `audit`."""

from __future__ import annotations

import click

from myapp.scripts.sessions.audit.evidence import gather
from myapp.scripts.sessions.audit.judging import judge
from myapp.scripts.sessions.audit.page import ask
from myapp.scripts.sessions.audit.profiles import PROFILES
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table


@click.command("audit")
@click.option(
    "--profile",
    "level",
    default="aal1",
    show_default=True,
    type=click.Choice([*PROFILES]),
    help="NIST's authenticator assurance level.",
)
@click.option(
    "--https",
    "https_declared",
    is_flag=True,
    help="Browsers use HTTPS, even though [server:main] does not say so.",
)
@click.option(
    "--page",
    "path",
    metavar="PATH",
    help="The page whose headers are checked. Default: the application's first one.",
)
@json_option
@pass_given
def command(
    given: Given, level: str, https_declared: bool, path: str | None, as_json: bool
) -> None:
    """Check the configuration against OWASP ASVS and NIST SP 800-63B.

    The versions are ASVS 5.0 and SP 800-63B-4. Prints a line for each rule: whether it is met, the
    evidence, and what to set. The application is loaded as its server loads it, and asked for one
    page over HTTPS; no session is stored.

    \b
    Example:      myapp-sessions production.ini audit --profile aal2
    Exit status:  0 all rules are met, 1 some are not.
    """
    with given.loaded() as application:
        page = ask(application, path or f"{given.described.path}/")
    seen = gather(given, page, https_declared=https_declared)
    found = [*judge(given.included, seen, PROFILES[level])]
    columns = ("result", "rule", "evidence", "to_set")
    rows = [("ok" if v.is_met else "failed", v.rule, v.evidence, v.to_set) for v in found]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table([name.replace("_", " ") for name in columns], rows)
    raise click.exceptions.Exit(int(not all(v.is_met for v in found)))
