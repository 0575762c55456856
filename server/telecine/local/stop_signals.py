"""Ctrl-C and SIGTERM, turned into one exception at a moment when it does no harm."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequestedError(Exception):
    """Someone asked this process to stop."""


class StopSignals:
    """Raises StopRequestedError in the main thread at the first stop signal, once."""

    def __init__(self) -> None:
        self._is_requested = False
        self._is_raised = False
        self._num_deferrals = 0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold a signal back until the block is over: no process may be lost at its birth."""
        self._num_deferrals += 1
        try:
            yield
        finally:
            self._num_deferrals -= 1
        self._raise_if_due()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._is_requested = True
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._is_requested and not self._is_raised and self._num_deferrals == 0:
            # Later signals must not cut the clean-up short.
            self._is_raised = True
            raise StopRequestedError
