"""The meter of fairness on schedules whose gaps are known."""

import pytest

from simulation.fairness import FairnessMeter, jain_index


def make_meter(*, weight: float = 1.0, has_head_start: bool = False) -> FairnessMeter:
    meter = FairnessMeter(quantum_seconds=0.0)
    meter.add_flow("a", weight=weight, has_head_start=has_head_start)
    meter.add_flow("b", weight=1.0, has_head_start=False)
    return meter


def serve(meter: FairnessMeter, *flows: str) -> None:
    for flow in flows:
        meter.charge(flow, 1.0)
        meter.observe({"a", "b"})


def test_flows_that_take_turns_are_one_slice_apart() -> None:
    meter = make_meter()
    meter.observe({"a", "b"})
    serve(meter, "a", "b", "a", "b")
    assert meter.gap(("a", "b")) == pytest.approx(1.0)


def test_gap_is_that_of_the_worst_interval_and_not_of_the_first() -> None:
    meter = make_meter()
    meter.observe({"a", "b"})
    serve(meter, "a", "a", "b", "b", "b", "b")
    assert meter.gap(("a", "b")) == pytest.approx(4.0)


def test_a_flow_that_runs_alone_meanwhile_owes_nothing() -> None:
    meter = make_meter()
    meter.observe({"a", "b"})
    for _ in range(100):
        meter.charge("a", 1.0)
        meter.observe({"a"})
    serve(meter, "b", "a")
    assert meter.gap(("a", "b")) == pytest.approx(1.0)


def test_service_counts_for_its_weight() -> None:
    meter = make_meter(weight=4.0)
    meter.observe({"a", "b"})
    serve(meter, "a", "a", "a", "a", "b")
    assert meter.gap(("a", "b")) == pytest.approx(1.0)


def test_bound_grows_with_lanes_and_by_the_head_start() -> None:
    meter = make_meter(has_head_start=True)
    serve(meter, "a", "b")
    assert meter.bound(("a", "b")) == pytest.approx(2 * (1.0 + 1.0) + 1.0)
    meter.num_lanes = 3
    assert meter.bound(("a", "b")) == pytest.approx(4 * (1.0 + 1.0) + 1.0)
    assert meter.worst() == (pytest.approx(1.0 / 9.0), ("a", "b"))


def test_jain_index_is_one_for_equal_shares_and_falls_to_one_in_n() -> None:
    assert jain_index({"a": 2.0, "b": 2.0}) == pytest.approx(1.0)
    assert jain_index({"a": 2.0, "b": 0.0}) == pytest.approx(0.5)
