"""What `myapp-sessions INI audit` asks of metrics."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from myapp.scripts.sessions.audit.evidence import Evidence
from myapp.scripts.sessions.audit.profiles import Profile
from myapp.scripts.sessions.audit.rules import Rule, Verdict, verdict


def address(seen: Evidence, profile: Profile) -> Verdict:
    """ASVS 13.4.5: monitoring is not open to the world."""
    listen, evidence = seen.given("myapp.metrics", "metrics.listen")
    if listen is not None:
        _, public = seen.given("myapp.metrics", "metrics.public")
        evidence = f"{evidence}, {public}"
    fits = listen is None or _is_within(listen[0])
    to_set = "metrics.public = false, or metrics.listen at a private address such as 10.0.0.5:9464"
    return verdict("ASVS 13.4.5", evidence, fits, to_set)


def _is_within(host: str) -> bool:
    """Whether an address is one of this machine or of a private network; 0.0.0.0 is every one."""
    address = ipaddress.ip_address(host)
    return (address.is_private or address.is_loopback) and not address.is_unspecified


RULES: Final[Sequence[Rule]] = (address,)
