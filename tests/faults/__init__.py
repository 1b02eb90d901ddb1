"""A checker that lets clients, servers and a database fail at random, and looks for what was lost.

`python -m tests.faults.checker` runs it; `make torture` runs it for long.
"""
