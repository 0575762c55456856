"""What goes wrong with one look keeps nobody from the others."""

import errno
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from telecine.local.watcher import Watcher

SECONDS = 20.0


@contextmanager
def watching(*looks: Callable[[], None]) -> Iterator[list[str]]:
    reports: list[str] = []
    watcher = Watcher(looks, reports.append, watch_seconds=0.001)
    watcher.start()
    try:
        yield reports
    finally:
        watcher.stop()


def test_failing_look_is_told_once_and_taken_again_beside_the_others() -> None:
    taken: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        taken.put("failing")
        raise OSError(errno.ENOSPC, "No space left on device")

    with watching(fail, lambda: taken.put("good")) as reports:
        seen = [taken.get(timeout=SECONDS) for _ in range(6)]
    assert seen == ["failing", "good"] * 3
    assert len(reports) == 1
    assert "No space left on device" in reports[0]


def test_trouble_that_comes_back_is_told_again() -> None:
    outcomes = [OSError("full"), None, OSError("full")]
    done: queue.Queue[None] = queue.Queue()

    def look() -> None:
        if not outcomes:
            done.put(None)
            return
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    with watching(look) as reports:
        done.get(timeout=SECONDS)
    assert len(reports) == 2
