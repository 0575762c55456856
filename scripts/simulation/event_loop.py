"""Virtual time: events in order of their time, those of one time in an order drawn by chance."""

import heapq
from collections.abc import Callable
from random import Random

MICROS = 1_000_000


class EventLoop:
    """Runs events one after another; its time jumps from one to the next."""

    def __init__(self, random: Random) -> None:
        self.now = 0.0  # seconds
        self._random = random
        self._events: list[tuple[float, float, int, Callable[[], None]]] = []
        self._num_added = 0

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Runs `event` when so much time has passed."""
        self._num_added += 1
        entry = (self.now + seconds, self._random.random(), self._num_added, event)
        heapq.heappush(self._events, entry)

    def run_next(self) -> bool:
        """Runs the next event; False when there is none."""
        if not self._events:
            return False
        self.now, _, _, event = heapq.heappop(self._events)
        event()
        return True
