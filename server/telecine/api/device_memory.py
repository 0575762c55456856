"""How much device memory there is for a model's videos."""

import sys
import time

from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2

UNLIMITED = sys.maxsize
"""Bytes of a device whose worker was set no limit."""
_FRESH_SECONDS = 1.0


class DeviceMemory:
    """What the live workers have, read at most once a second: every CreateVideo asks."""

    def __init__(self, directory: WorkerDirectory) -> None:
        self._directory = directory
        self._workers: list[worker_pb2.Worker] = []
        self._read_time = -_FRESH_SECONDS

    async def largest_bytes(self, model_name: str) -> int:
        """Returns the most memory that a live worker has for a model; 0 where there is no worker.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        if time.monotonic() - self._read_time >= _FRESH_SECONDS:
            self._workers = await self._directory.list_workers()
            self._read_time = time.monotonic()
        serving = (each for each in self._workers if each.is_alive and model_name in each.models)
        return max((each.memory_bytes or UNLIMITED for each in serving), default=0)
