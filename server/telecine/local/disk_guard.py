"""Has Redis refuse writes while its disk is nearly full: one that cannot write its file ends."""

import shutil
from collections.abc import Callable

import structlog

from telecine.errors import StoreUnavailableError
from telecine.jobs.redis_server import RedisServer

RESERVE_BYTES = 64 << 20
_log = structlog.get_logger(__name__)


class DiskGuard:
    """Watches the disk of one Redis; `check` it often.

    Args:
        redis: the server.
        report: is told when Redis stops and when it begins to take writes.
        reserve_bytes: below this much free space Redis takes no writes, above twice as much it
            takes them again.
    """

    def __init__(
        self,
        redis: RedisServer,
        report: Callable[[str], None],
        *,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._redis = redis
        self._report = report
        self._reserve_bytes = reserve_bytes
        self._refusing_pid: int | None = None  # the life of the server that was told

    def check(self) -> None:
        """Looks at the disk and acts on it."""
        free_bytes = shutil.disk_usage(self._redis.folder).free
        pid = self._redis.pid
        if free_bytes < self._reserve_bytes and pid not in {None, self._refusing_pid}:
            self._tell(is_writable=False, pid=pid)
            self._report("the disk is nearly full: no videos are taken until there is room")
        elif free_bytes > 2 * self._reserve_bytes and self._refusing_pid is not None:
            self._tell(is_writable=True, pid=None)
            self._report("there is room on the disk again")

    def _tell(self, *, is_writable: bool, pid: int | None) -> None:
        try:
            self._redis.set_writable(is_writable=is_writable)
        except StoreUnavailableError as error:  # the next look tries again
            _log.warning("disk_guard", error=str(error))
        else:
            self._refusing_pid = pid
