"""The workers there are: what each says of itself, and which are to drain."""

from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis

from telecine.errors import NotFoundError
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.keys import queue_key
from telecine.jobs.worker_feed import WorkerFeed
from telecine.v1 import worker_pb2

_COLLECTION = "workers/"


class WorkerDirectory:
    """The workers of one shard; a lost one is listed for an hour.

    All methods raise StoreUnavailableError while Redis cannot be reached.
    """

    def __init__(self, redis: Redis, *, shard: str = "0") -> None:
        queue = queue_key(shard)
        self._library = FunctionLibrary(redis, queue)
        self._feed = WorkerFeed(redis, queue, read=self.list_workers)

    async def publish(
        self, worker: worker_pb2.Worker, *, ttl_seconds: float, is_serving: bool = True
    ) -> bool:
        """Records a worker as it is now, and answers whether it was told to drain.

        It counts as alive for `ttl_seconds`, and as one that can start videos of its models
        while `is_serving`.
        """
        record = worker_pb2.Worker()
        record.CopyFrom(worker)
        for field in ("is_alive", "update_time"):  # the store knows them better
            record.ClearField(field)
        answer = await self._library.call(
            "publish_worker",
            {
                "worker": worker.name.removeprefix(_COLLECTION),
                "record": record.SerializeToString(deterministic=True),
                "life": worker.start_time.ToNanoseconds(),
                "ttl_seconds": ttl_seconds,
                "models": ",".join(name.removeprefix("models/") for name in worker.models),
                "is_serving": int(is_serving),
            },
        )
        return bool(answer)

    async def list_workers(self) -> list[worker_pb2.Worker]:
        """Returns all workers by name."""
        rows: Any = await self._library.read("list_workers", {})
        return sorted((_assemble(*row) for row in rows), key=lambda worker: worker.name)

    async def get(self, name: str) -> worker_pb2.Worker:
        """Returns one worker.

        Raises:
            NotFoundError: there is no such worker.
        """
        for worker in await self.list_workers():
            if worker.name == name:
                return worker
        raise NotFoundError(name)

    def watch(self) -> AsyncGenerator[worker_pb2.Worker, None]:
        """Yields every worker as it is, then each one again whenever it changes.

        The messages are shared between watchers: do not change them.
        """
        return self._feed.watch()

    async def request_drain(self, name: str) -> worker_pb2.Worker:
        """Has a worker drain, and returns it; asking twice changes nothing.

        Raises:
            NotFoundError: there is no such worker.
        """
        worker_id = name.removeprefix(_COLLECTION)
        if not await self._library.call("request_drain", {"worker": worker_id}):
            raise NotFoundError(name)
        return await self.get(name)

    async def close(self) -> None:
        """Ends all watches; the client it was given stays open."""
        await self._feed.close()


def _assemble(
    record: bytes, update_time: bytes, is_alive: int, is_drain_requested: int
) -> worker_pb2.Worker:
    worker = worker_pb2.Worker.FromString(record)
    worker.update_time.FromMicroseconds(int(update_time))
    worker.is_alive = bool(is_alive)
    worker.is_draining = worker.is_draining or bool(is_drain_requested)
    return worker
