"""Whether the worker's own disk takes what a video needs: one that is full fails no videos."""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from telecine.worker.interruptions import HandBack

WORKER_DISK_FAILED = "WORKER_DISK_FAILED"
_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_FIRST_PAUSE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 600.0
_log = structlog.get_logger(__name__)


class OwnDisk:
    """Hands back the videos that the disk has failed, and says when another may be tried.

    The pauses grow as long as no video is made: a worker alone would otherwise soon have lost
    every video of the queue so often that it is set aside.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._resume_time: float | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether it has not failed lately."""
        return self._resume_time is None or self._clock() >= self._resume_time

    @contextmanager
    def used_by(self, video_name: str) -> Iterator[None]:
        """Makes of the disk's faults, while a video is made in the block, a hand-back.

        Raises:
            HandBack: the disk is full, read-only or broken; it counts as a loss, since a video
                may be what does not fit.
        """
        try:
            yield
        except OSError as error:  # FFmpeg's errors of files are such too
            if error.errno not in _FAULTS:
                raise
            _log.error("disk_failed", video=video_name, error=str(error))
            self._resume_time = self._clock() + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            raise HandBack(WORKER_DISK_FAILED, counts_as_loss=True) from error
        self._pause_seconds = _FIRST_PAUSE_SECONDS
