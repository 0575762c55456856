"""What tenants use and may use, as the job store's functions keep it (functions/accounts.lua)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from telecine.jobs.account_answers import day_start, next_day, next_month
from telecine.jobs.keys import account_key, ledger_key, queue_key, quota_key, video_name
from telecine.jobs.redis_client import translated_errors
from telecine.v1 import usage_pb2, video_pb2

NUMBERS = (
    "monthly_microcredits",
    "daily_microcredits",
    "max_open_videos",
    "max_stored_bytes",
    "microcredits_per_second",
    "requests_per_second",
)
_SECONDS_A_DAY = 86_400
_NOTHING = b"0"


@dataclass(frozen=True)
class LedgerPage:
    """Entries, newest first, and whether there are older ones."""

    entries: tuple[usage_pb2.LedgerEntry, ...]
    has_more: bool


class AccountStore:
    """The accounts of one shard.

    All methods raise StoreUnavailableError while Redis cannot be reached.
    """

    def __init__(self, redis: Redis, *, shard: str = "0") -> None:
        self._redis = redis
        self._queue = queue_key(shard)

    async def usage(self, tenant: str) -> usage_pb2.Usage:
        """Returns what a tenant uses now, without names and limits."""
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.time()
                pipeline.hgetall(account_key(self._queue, tenant))
                (seconds, _), account = await pipeline.execute()
        return _decode_usage(account, datetime.fromtimestamp(seconds, UTC))

    async def ledger(self, tenant: str, *, page_size: int, before: str = "") -> LedgerPage:
        """Returns the entries before the one of that id, newest first; the newest for ""."""
        newest = f"({before}" if before else "+"
        with translated_errors():
            entries: Any = await self._redis.xrevrange(
                ledger_key(self._queue, tenant), newest, "-", count=page_size + 1
            )
        decoded = tuple(_decode_entry(*entry) for entry in entries[:page_size])
        return LedgerPage(decoded, has_more=len(entries) > page_size)

    async def quota(self, tenant: str) -> usage_pb2.Quota:
        """Returns what was set for a tenant; a number is unset where nothing was."""
        with translated_errors():
            values: Any = await self._redis.hgetall(quota_key(self._queue, tenant))
        quota = usage_pb2.Quota(tiers=_decode_tiers(values.get(b"tiers", b"")))
        for name in NUMBERS:
            if (value := values.get(name.encode())) is not None:
                setattr(quota, name, int(value))
        return quota

    async def set_quota(
        self, tenant: str, quota: usage_pb2.Quota, *, fields: Iterable[str]
    ) -> None:
        """Sets the fields named to what `quota` has there; an unset one is forgotten."""
        key = quota_key(self._queue, tenant)
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                for name in fields:
                    value = _encode_field(quota, name)
                    if value is None:
                        pipeline.hdel(key, name)
                    else:
                        pipeline.hset(key, name, value)
                await pipeline.execute()


def _decode_usage(account: Mapping[bytes, bytes], now: datetime) -> usage_pb2.Usage:
    usage = usage_pb2.Usage(
        reserved_microcredits=int(account.get(b"reserved", 0)),
        spent_microcredits=int(account.get(b"spent", 0)),
        num_open_videos=int(account.get(b"num_open", 0)),
        stored_bytes=int(account.get(b"stored_bytes", 0)),
    )
    day = int(now.timestamp()) // _SECONDS_A_DAY
    month = (now.year - 1970) * 12 + now.month - 1
    # What was used in an earlier period stands there until the next video is submitted.
    if int(account.get(b"day", _NOTHING)) == day:
        usage.day.used_microcredits = int(account[b"day_used"])
    if int(account.get(b"month", _NOTHING)) == month:
        usage.month.used_microcredits = int(account[b"month_used"])
    usage.day.start_time.FromDatetime(day_start(now))
    usage.day.end_time.FromDatetime(next_day(now))
    usage.month.start_time.FromDatetime(day_start(now.replace(day=1)))
    usage.month.end_time.FromDatetime(next_month(now))
    return usage


def _decode_entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> usage_pb2.LedgerEntry:
    entry = usage_pb2.LedgerEntry(
        entry_id=entry_id.decode(),
        kind=usage_pb2.LedgerEntry.Kind.Value(f"KIND_{fields[b'kind'].decode()}"),
        video=video_name(fields[b"video"].decode()),
        amount_microcredits=int(fields[b"amount"]),
        reserved_microcredits=int(fields[b"reserved"]),
        spent_microcredits=int(fields[b"spent"]),
    )
    entry.entry_time.FromMilliseconds(int(entry_id.partition(b"-")[0]))
    return entry


def _encode_field(quota: usage_pb2.Quota, name: str) -> int | str | None:
    if name == "tiers":
        return ",".join(map(video_pb2.Tier.Name, quota.tiers)) or None
    return getattr(quota, name) if quota.HasField(name) else None  # type: ignore[arg-type]


def _decode_tiers(names: bytes) -> list[video_pb2.Tier.ValueType]:
    return [video_pb2.Tier.Value(name) for name in names.decode().split(",") if name]
