"""API keys: what each may do, and the digest of its secret; the secret itself is kept nowhere."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from telecine.errors import InvalidFieldError, NotFoundError
from telecine.jobs.keys import api_key_key, api_key_use_key, api_keys_key, queue_key
from telecine.jobs.redis_client import translated_errors
from telecine.v1 import account_pb2

API_KEY_COLLECTION = "apiKeys/"
MAX_KEYS_PER_TENANT = 1000
REVOKED_KEPT_SECONDS = 30 * 86_400
USE_KEPT_SECONDS = 400 * 86_400
_CHECKED_FIELDS = ["record", "digest", "revoke_time"]


@dataclass(frozen=True)
class StoredKey:
    """A key as the store has it, and what its secret must hash to."""

    key: account_pb2.ApiKey
    digest: bytes


@dataclass(frozen=True)
class KeyPage:
    """Keys by tenant and name; `next_place` is where the next page begins, empty on the last."""

    keys: list[account_pb2.ApiKey]
    next_place: str


class ApiKeyStore:
    """The API keys of one shard.

    All methods raise StoreUnavailableError while Redis cannot be reached.
    """

    def __init__(self, redis: Redis, *, shard: str = "0") -> None:
        self._redis = redis
        self._queue = queue_key(shard)

    async def add(self, key: account_pb2.ApiKey, digest: bytes) -> None:
        """Records a key; one of the same name is replaced.

        Raises:
            InvalidFieldError: its tenant has as many keys as it may.
        """
        record = account_pb2.ApiKey()
        record.CopyFrom(key)
        for field in ("secret", "state", "revoke_time", "last_use_time"):
            record.ClearField(field)
        key_id = key_id_of(key.name)
        await self._require_room(key.tenant)
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._key(key_id))
                fields: Mapping[Any, Any] = {
                    "record": record.SerializeToString(),
                    "digest": digest,
                }
                pipeline.hset(self._key(key_id), mapping=dict(fields))
                pipeline.zadd(api_keys_key(self._queue), {f"{key.tenant}/{key_id}": 0})
                await pipeline.execute()

    async def find(self, key_id: str) -> StoredKey | None:
        """Returns a key for the check of a call; None where there is none of that id.

        It asks Redis every time, so that a revoked key is refused everywhere at once.
        """
        with translated_errors():
            answer: Any = await self._redis.hmget(self._key(key_id), _CHECKED_FIELDS)
        return _stored(answer)

    async def find_all(self, key_ids: Sequence[str]) -> list[StoredKey | None]:
        """Returns several keys as `find` does, in the order asked for."""
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key_id in key_ids:
                    pipeline.hmget(self._key(key_id), _CHECKED_FIELDS)
                answers: Any = await pipeline.execute()
        return [_stored(answer) for answer in answers]

    async def get(self, name: str) -> account_pb2.ApiKey:
        """Returns one key.

        Raises:
            NotFoundError: there is no such key.
        """
        found = await self._read([key_id_of(name)])
        if not found:
            raise NotFoundError(name)
        return found[0]

    async def list_page(self, tenant: str, *, page_size: int, after: str = "") -> KeyPage:
        """Returns the keys of a tenant, or of all for an empty one, that follow a place.

        Revoked ones are not among them.
        """
        first = f"({after}" if after else (f"[{tenant}/" if tenant else "-")
        last = f"({tenant}0" if tenant else "+"  # "0" comes right after "/"
        with translated_errors():
            places: Any = await self._redis.zrangebylex(
                api_keys_key(self._queue), first, last, start=0, num=page_size + 1
            )
        page = [place.decode() for place in places[:page_size]]
        keys = await self._read([place.partition("/")[2] for place in page])
        return KeyPage(keys, page[-1] if len(places) > page_size else "")

    async def revoke(self, name: str) -> account_pb2.ApiKey:
        """Ends a key, and returns it; it can be got for 30 days more.

        Raises:
            NotFoundError: there is no such key.
        """
        key = await self.get(name)
        key_id = key_id_of(name)
        if key.state != account_pb2.ApiKey.STATE_REVOKED:
            with translated_errors():
                async with self._redis.pipeline(transaction=True) as pipeline:
                    pipeline.hset(self._key(key_id), "revoke_time", time.time_ns())
                    pipeline.expire(self._key(key_id), REVOKED_KEPT_SECONDS)
                    pipeline.zrem(api_keys_key(self._queue), f"{key.tenant}/{key_id}")
                    await pipeline.execute()
        return await self.get(name)

    async def note_use(self, name: str) -> None:
        """Records that a key was used now."""
        with translated_errors():
            await self._redis.set(
                api_key_use_key(self._queue, key_id_of(name)), time.time_ns(), ex=USE_KEPT_SECONDS
            )

    async def _require_room(self, tenant: str) -> None:
        with translated_errors():
            num_keys = await self._redis.zlexcount(
                api_keys_key(self._queue), f"[{tenant}/", f"({tenant}0"
            )
        if num_keys >= MAX_KEYS_PER_TENANT:
            raise InvalidFieldError(
                "api_key.tenant", f"{tenant} has {num_keys} keys, as many as it may; revoke some"
            )

    async def _read(self, key_ids: list[str]) -> list[account_pb2.ApiKey]:
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key_id in key_ids:
                    pipeline.hmget(self._key(key_id), ["record", "revoke_time"])
                    pipeline.get(api_key_use_key(self._queue, key_id))
                answers: Any = await pipeline.execute()
        keys = []
        for (record, revoke_time), use_time in zip(answers[::2], answers[1::2], strict=True):
            if record is not None:  # revoked keys go after a while
                key = _assemble(record, revoke_time)
                if use_time is not None:
                    key.last_use_time.FromNanoseconds(int(use_time))
                keys.append(key)
        return keys

    def _key(self, key_id: str) -> str:
        return api_key_key(self._queue, key_id)


def key_id_of(name: str) -> str:
    """Returns the id in `apiKeys/{api_key}`."""
    return name.removeprefix(API_KEY_COLLECTION)


def _stored(answer: Sequence[Any]) -> StoredKey | None:
    record, digest, revoke_time = answer
    return None if record is None else StoredKey(_assemble(record, revoke_time), digest)


def _assemble(record: bytes, revoke_time: bytes | None) -> account_pb2.ApiKey:
    key = account_pb2.ApiKey.FromString(record)
    if revoke_time is not None:
        key.revoke_time.FromNanoseconds(int(revoke_time))
        key.state = account_pb2.ApiKey.STATE_REVOKED
    elif key.HasField("expire_time") and key.expire_time.ToNanoseconds() <= time.time_ns():
        key.state = account_pb2.ApiKey.STATE_EXPIRED
    else:
        key.state = account_pb2.ApiKey.STATE_ACTIVE
    return key
