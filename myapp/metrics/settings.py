"""Every setting of the metrics: `TABLE` is the single source, as for the application's own (C4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from myapp.setting_table import Reading, Setting, bool_setting, read_table

OFF: Final = "off"

Address = tuple[str, int]


def _listen(text: str) -> Address | None:
    if text.lower() == OFF:
        return None
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    # An IPv6 address is in brackets, or nobody could tell where it ends.
    if (":" in host) != (host.startswith("[") and host.endswith("]")):
        raise ValueError("not an address")
    if not (port.isascii() and port.isdecimal()) or not 0 < int(port[:6]) < 65_536:
        raise ValueError("not a port")
    return str(ipaddress.ip_address(host.strip("[]"))), int(port)


_ROWS: Final = (
    Setting(
        "metrics.listen",
        OFF,
        _listen,
        "off, or an IP address and a port such as 127.0.0.1:9464",
        "The address and port where Prometheus finds the metrics of sessions; nothing else may use"
        " them. Needs the package prometheus-client.",
        "Set it if Prometheus collects the metrics. Several processes on one machine need a port"
        " each, or PROMETHEUS_MULTIPROC_DIR.",
    ),
    bool_setting(
        "metrics.public",
        "false",
        "Allow metrics.listen to be an address that other machines can reach.",
        "Set it to true if Prometheus runs on another machine and a firewall keeps all others out:"
        " metrics reveal how many users there are, and when.",
    ),
)

TABLE: Final[Mapping[str, Setting]] = {setting.name: setting for setting in _ROWS}
"""The settings by name, in the order of the ini files and the reference."""

OWNED: Final = ("metrics.",)
"""Names that begin like this are ours; one that is not in the table is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSettings:
    """The settings of the metrics, parsed."""

    listen: Address | None
    reading: Reading = field(compare=False, repr=False)

    def refuse_listening(self, expected: str) -> NoReturn:
        """Raise SettingError for an address that was parsed, and can't be used all the same."""
        self.reading.refuse("metrics.listen", expected)


def read_metric_settings(settings: Mapping[str, Any], environ: Mapping[str, str]) -> MetricSettings:
    """Raises SettingError for the first setting that can't be used, or is unknown (C2)."""
    reading = read_table(TABLE, settings, environ, owned=OWNED)
    values = reading.values()
    parsed = MetricSettings(listen=values["metrics.listen"], reading=reading)
    if parsed.listen is not None and not values["metrics.public"]:
        address, _ = parsed.listen
        if not ipaddress.ip_address(address).is_loopback:
            parsed.refuse_listening("an address of this machine alone, or metrics.public = true")
    return parsed
