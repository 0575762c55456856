"""Estimates, with a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.worker.progress_manager import (
    ProgressManager,
    TailEstimate,
    choose_preview_steps,
)


@given(st.integers(1, 1000), st.integers(5, 12))
def test_previews_are_distinct_rising_and_end_with_the_last_step(steps: int, count: int) -> None:
    chosen = choose_preview_steps(steps, count)
    assert len(chosen) == min(steps, count)
    assert list(chosen) == sorted(set(chosen))
    assert chosen[0] >= 1
    assert chosen[-1] == steps


def test_fifty_steps_show_every_tenth() -> None:
    assert choose_preview_steps(50, 5) == (10, 20, 30, 40, 50)


def test_even_steps_give_an_exact_estimate() -> None:
    now = 100.0
    progress = ProgressManager(10, tail_seconds=1.5, clock=lambda: now)
    now = 100.5
    first = progress.finish_step(1, step_seconds=0.5)
    assert first.elapsed_seconds == pytest.approx(0.5)
    assert first.eta_seconds == pytest.approx(9 * 0.5 + 1.5)
    assert progress.finish_step(10, step_seconds=0.5).eta_seconds == pytest.approx(1.5)


def test_one_slow_step_does_not_swing_the_estimate() -> None:
    progress = ProgressManager(20, tail_seconds=0.0)
    for step in range(1, 10):
        progress.finish_step(step, step_seconds=1.0)
    assert progress.finish_step(10, step_seconds=5.0).eta_seconds < 10 * 2.5


def test_the_tail_is_learnt_from_finished_videos() -> None:
    tail = TailEstimate()
    assert tail.predict(1000) == 0.0
    tail.learn(2.0, num_pixels=1000)
    assert tail.predict(3000) == pytest.approx(6.0)
    tail.learn(4.0, num_pixels=1000)
    assert tail.predict(1000) == pytest.approx(3.0)
