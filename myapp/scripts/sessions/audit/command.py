"""The command `audit`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from myapp import features
from myapp.scripts.sessions.audit.evidence import gather
from myapp.scripts.sessions.audit.profiles import PROFILES
from myapp.scripts.sessions.audit.rules import RULES, Rule
from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.output import json_option, print_json, print_table


@click.command("audit")
@click.option(
    "--profile", "level", default="aal1", show_default=True, type=click.Choice([*PROFILES])
)
@click.option(
    "--https",
    "https_declared",
    is_flag=True,
    help="Browsers come by HTTPS, though [server:main] does not say so.",
)
@json_option
@pass_given
def command(given: Given, level: str, https_declared: bool, as_json: bool) -> None:
    """Prove the configuration against OWASP ASVS 5.0 and NIST SP 800-63B-4.

    Each rule is a line: whether it is met, the evidence, and what to set. The evidence is the
    settings, the table, and the headers of responses that are made by the same settings.

    \b
    Example:      myapp-sessions production.ini audit --profile aal2
    Exit status:  0 all rules are met, 1 some are not.
    """
    seen = gather(given, https_declared=https_declared)
    found = [rule(seen, PROFILES[level]) for rule in (*RULES, *_rules_of_features(given))]
    columns = ("result", "rule", "evidence", "to_set")
    rows = [("ok" if v.is_met else "failed", v.rule, v.evidence, v.to_set) for v in found]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table([name.replace("_", " ") for name in columns], rows)
    raise click.exceptions.Exit(int(not all(v.is_met for v in found)))


def _rules_of_features(given: Given) -> Iterator[Rule]:
    for module in features.modules("audit") if given.ours else ():
        yield from module.RULES
