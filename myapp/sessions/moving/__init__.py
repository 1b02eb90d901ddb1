"""Moves in without signing anyone out: `config.include("myapp.sessions.moving")`.

During a move, sessions of other libraries are adopted as they arrive. Nothing else in the
package knows of this folder: without the include nothing of it is loaded.
"""

from myapp.sessions.moving.include import get_counts, includeme
from myapp.sessions.moving.outcome import MovingCounts

__all__ = ["MovingCounts", "get_counts", "includeme"]
