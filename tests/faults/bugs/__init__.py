"""The known bugs that `python -m tests.faults.planted` plants, each by the function that it breaks.

A bug is written as Python beside what catches it. It gets the function that it stands in for, then
what that was called with; so it need not know how the function is written.
"""

from tests.faults.bugs import clocks as clocks
from tests.faults.bugs import connections as connections
from tests.faults.bugs import endings as endings
from tests.faults.bugs import merging as merging
from tests.faults.bugs import outcomes as outcomes
from tests.faults.bugs import rows as rows
