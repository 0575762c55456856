"""The models that workers have published, and whether any of them serves one now."""

from typing import Any

from redis.asyncio import Redis

from telecine.errors import NotFoundError
from telecine.jobs.keys import model_alive_key, models_key, queue_key
from telecine.jobs.redis_client import translated_errors
from telecine.v1 import model_pb2

_COLLECTION = "models/"


class ModelDirectory:
    """The models of one shard; ids are bare, such as `toybox`."""

    def __init__(self, redis: Redis, *, shard: str = "0") -> None:
        self._redis = redis
        self._queue = queue_key(shard)

    async def publish(self, model: model_pb2.Model, *, worker_id: str, ttl_seconds: float) -> None:
        """Records a model that a worker serves; it counts as READY for `ttl_seconds`.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        model_id = model.name.removeprefix(_COLLECTION)
        alive = model_alive_key(self._queue, model_id)
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(models_key(self._queue), model_id, model.SerializeToString())
                pipeline.set(alive, worker_id, px=int(ttl_seconds * 1000))
                await pipeline.execute()

    async def record(self, model: model_pb2.Model) -> None:
        """Records a model that the caller knows and cannot serve now: its videos are taken.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        model_id = model.name.removeprefix(_COLLECTION)
        with translated_errors():
            await self._redis.hset(models_key(self._queue), model_id, model.SerializeToString())

    async def remove(self, model_id: str) -> None:
        """Forgets a model; a worker that still serves it publishes it again.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hdel(models_key(self._queue), model_id)
                pipeline.delete(model_alive_key(self._queue, model_id))
                await pipeline.execute()

    async def list_models(self) -> list[model_pb2.Model]:
        """Returns all models by name.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        with translated_errors():
            records: Any = await self._redis.hgetall(models_key(self._queue))
        ids = sorted(records)
        alive = await self._alive([model_id.decode() for model_id in ids])
        return [
            _assemble(records[model_id], is_alive=is_alive)
            for model_id, is_alive in zip(ids, alive, strict=True)
        ]

    async def get(self, model_id: str) -> model_pb2.Model:
        """Returns one model.

        Raises:
            NotFoundError: no worker has ever published it.
            StoreUnavailableError: Redis cannot be reached.
        """
        with translated_errors():
            record: Any = await self._redis.hget(models_key(self._queue), model_id)
        if record is None:
            raise NotFoundError(_COLLECTION + model_id)
        return _assemble(record, is_alive=(await self._alive([model_id]))[0])

    async def _alive(self, model_ids: list[str]) -> list[bool]:
        if not model_ids:
            return []
        with translated_errors():
            workers: Any = await self._redis.mget(
                [model_alive_key(self._queue, model_id) for model_id in model_ids]
            )
        return [worker is not None for worker in workers]


def _assemble(record: bytes, *, is_alive: bool) -> model_pb2.Model:
    model = model_pb2.Model.FromString(record)
    model.state = model_pb2.Model.STATE_READY if is_alive else model_pb2.Model.STATE_UNAVAILABLE
    return model
