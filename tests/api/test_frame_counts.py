"""Lengths become the nearest number of frames."""

from fractions import Fraction

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from telecine.api.frame_counts import frames_of


@pytest.mark.parametrize(
    ("milliseconds", "fps", "frames"),
    [(2000, 16, 33), (1, 16, 1), (2062, 16, 33), (3000, 1, 5), (2999, 1, 1), (7000, 1, 9)],
)
def test_frames_are_the_nearest_of_the_form_and_ties_go_up(
    milliseconds: int, fps: int, frames: int
) -> None:
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    assert frames_of(duration, fps, multiple=4) == frames


@given(st.integers(0, 10**6), st.integers(0, 10**9 - 1), st.integers(1, 240), st.integers(1, 8))
def test_no_other_number_of_the_form_is_nearer(
    seconds: int, nanos: int, fps: int, multiple: int
) -> None:
    exact = (seconds + Fraction(nanos, 10**9)) * fps
    frames = frames_of(Duration(seconds=seconds, nanos=nanos), fps, multiple=multiple)
    assert (frames - 1) % multiple == 0
    assert frames >= 1
    assert abs(frames - exact) < abs(frames + multiple - exact)
    assert frames == 1 or abs(frames - exact) <= abs(frames - multiple - exact)
