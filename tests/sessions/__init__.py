"""Tests of the session package; with `CI` set, Hypothesis tries the same examples every time."""

import os

from hypothesis import settings

# No deadline: a busy machine is not a slow program.
settings.register_profile("myapp", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("myapp")
