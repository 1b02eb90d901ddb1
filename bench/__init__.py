"""The benchmark: sessions beside their peers, and the report on it in docs/performance.md.

`make bench` measures; docs/how-to/benchmark.md says how, and how to add a contender.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
