"""An upload's time, by a clock that is set by hand."""

import asyncio
from types import SimpleNamespace

import pytest

from telecine.api import upload_pace
from telecine.api.upload_pace import MIN_BYTES_PER_SECOND, UploadPace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    loop = SimpleNamespace(time=lambda: clock.now)
    replaced = SimpleNamespace(get_running_loop=lambda: loop, timeout_at=asyncio.timeout_at)
    monkeypatch.setattr(upload_pace, "asyncio", replaced)
    return clock


def test_what_keeps_its_pace_is_waited_for_as_long_each_time(clock: SimpleNamespace) -> None:
    pace = UploadPace(idle_seconds=5)
    for _ in range(100):
        assert pace.wait().when() == clock.now + 5
        clock.now += 4
        pace.count(4 * MIN_BYTES_PER_SECOND)


def test_what_trickles_has_the_idle_time_and_what_its_bytes_buy(clock: SimpleNamespace) -> None:
    pace = UploadPace(idle_seconds=5)
    pace.wait()
    for _ in range(3):
        clock.now += 4
        pace.count(MIN_BYTES_PER_SECOND)
    assert pace.wait().when() == 100 + 3 + 5
    pace.count(100 * MIN_BYTES_PER_SECOND)  # which makes up for it
    assert pace.wait().when() == clock.now + 5
