"""How long the bytes of a request may take."""

import asyncio

from telecine.errors import UploadIdleError

MIN_BYTES_PER_SECOND = 1024


class UploadPace:
    """Gives up what goes idle, and what trickles so slowly that it would hold its place for days.

    Args:
        idle_seconds: how long nothing may come; what came in all buys as long as it would take at
            MIN_BYTES_PER_SECOND.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._start_time: float | None = None
        self._num_bytes = 0

    def wait(self) -> asyncio.Timeout:
        """Returns what ends the wait for the next bytes, by TimeoutError."""
        now = asyncio.get_running_loop().time()
        if self._start_time is None:
            self._start_time = now
        earned_seconds = self._num_bytes / MIN_BYTES_PER_SECOND
        return asyncio.timeout_at(min(now, self._start_time + earned_seconds) + self._idle_seconds)

    def count(self, num_bytes: int) -> None:
        """Notes bytes that came."""
        self._num_bytes += num_bytes

    def error(self) -> UploadIdleError:
        """Returns what a client is told whose bytes did not come in time."""
        return UploadIdleError(
            f"nothing came for {self._idle_seconds:g} s, or less than {MIN_BYTES_PER_SECOND} "
            "bytes a second"
        )
