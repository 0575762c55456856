"""Looks after the processes of a service, over and over, whatever goes wrong with one look."""

import threading
from collections.abc import Callable, Sequence

WATCH_SECONDS = 0.5


class Watcher:
    """Takes each of several looks in turn, in a thread, until it is stopped.

    Args:
        looks: what is looked at and mended; one that fails is taken again in the next round.
        report: is told what went wrong, once as long as it stays the same.
    """

    def __init__(
        self,
        looks: Sequence[Callable[[], None]],
        report: Callable[[str], None],
        *,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self._looks = looks
        self._report = report
        self._watch_seconds = watch_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self._told: dict[int, str] = {}

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Return when no look is taken any more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(self._watch_seconds):
            for place, look in enumerate(self._looks):
                trouble = _trouble_of(look)
                if trouble and trouble != self._told.get(place):
                    self._report(trouble)
                self._told[place] = trouble


def _trouble_of(look: Callable[[], None]) -> str:
    try:
        look()
    except Exception as error:  # without it nothing is started again any more
        return f"cannot look after the processes: {error or type(error).__name__}"
    return ""
