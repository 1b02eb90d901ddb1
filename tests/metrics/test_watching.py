"""What is noted of stores and of those who write for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram
from pyramid.request import Request

from myapp.metrics.durations import Durations
from myapp.metrics.instruments import BUCKETS, Instruments
from myapp.metrics.watching import Watch
from tests.outcomes.app import Note
from tests.outcomes.site import Site, opened


def histogram() -> Histogram:
    return Histogram("seconds", "Seconds.", buckets=BUCKETS, registry=CollectorRegistry())


def test_numbers_added_up_are_what_observing_each_gives() -> None:
    """O6: in each bucket and in the sum, those on a bound and beyond the last one included."""
    seconds = [random.uniform(0, 0.2) for _ in range(500)] + [*BUCKETS, 0.0, 99.0]
    ours, theirs = histogram(), histogram()
    durations = Durations(ours)
    for each in seconds:
        durations.note(each)
        theirs.observe(each)
    durations.add_up()
    durations.add_up()
    ((mine,), (others,)) = ours.collect(), theirs.collect()
    for one, other in zip(mine.samples, others.samples, strict=True):
        assert (one.name, one.labels) == (other.name, other.labels)
        if not one.name.endswith("_created"):
            assert one.value == pytest.approx(other.value)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with opened(f"sqlite:///{tmp_path / 'site.sqlite'}") as site:
        yield site


def test_a_save_within_the_transaction_is_counted_as_such(site: Site) -> None:
    """O6: a store sees nothing of it, since it is written on the application's connection."""
    instruments = Instruments()
    watch = Watch(instruments)
    watch.store(site.manager.store)

    def view(request: Request) -> None:
        request.dbsession.add(Note())
        request.session["a"] = request.session.get("a", 0) + 1

    token = site.call(view, None).token()
    site.call(view, token)
    watch.add_up()

    def count(operation: str, transaction: str) -> float | None:
        labels = {"operation": operation, "transaction": transaction}
        return instruments.registry.get_sample_value("myapp_session_store_seconds_count", labels)

    assert (count("insert", "request"), count("update", "request")) == (1, 1)
    assert (count("insert", "own"), count("update", "own")) == (0, 0)
