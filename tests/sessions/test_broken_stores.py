"""Stores with one mistake each, none of which the contract suite lets pass (I10).

A suite that passes a store without compare-and-set says nothing of those that it passes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from myapp.sessions.testing.contract import StoreContract
from myapp.sessions.testing.memory_store import MemoryStore
from tests.sessions.broken import endings, races, reads, renewals, saves, sweeps, touches
from tests.sessions.broken.planting import PLANTED

SUITE = [name for name in vars(StoreContract) if name.startswith("test_")]
"""The tests of the suite, in their order."""

# Imported for what each of them plants.
assert all((endings, races, reads, renewals, saves, sweeps, touches))


def first_refusal(make: Callable[[], MemoryStore]) -> str | None:
    """The first test of the suite that a store fails; any other error than that is one of ours."""
    for name in SUITE:
        try:
            getattr(StoreContract(), name)(make())
        except AssertionError:
            return name
    return None


def test_the_healthy_store_passes() -> None:
    """I10: or all that follows would prove nothing."""
    assert first_refusal(MemoryStore) is None


@pytest.mark.parametrize("broken", PLANTED, ids=lambda store: store.__name__)
def test_a_mistake_is_refused(broken: type[MemoryStore]) -> None:
    """I10: by one test of the suite at least."""
    assert first_refusal(broken) is not None
