"""Its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from myapp.setting_table import Setting, bool_setting

_ON: Final = bool_setting("press_logs.on", "true", "Whether it is on.", "Never.")

TABLE: Final[Mapping[str, Setting]] = {_ON.name: _ON}
