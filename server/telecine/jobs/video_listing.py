"""Pages of videos, newest or oldest first."""

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from telecine.errors import InvalidFieldError
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.job_types import VideoPage, VideoQuery
from telecine.jobs.keys import index_key
from telecine.jobs.redis_client import translated_errors
from telecine.jobs.video_record import Record, assemble_video, decode_record, to_micros
from telecine.v1 import video_pb2

_BATCH = 100
# A filter that little passes must not make one call read the whole store.
_MAX_SCANNED = 2_000
_TOKEN = struct.Struct(">Q8s")  # create time of the last video, digest of the query


async def list_page(redis: Redis, library: FunctionLibrary, query: VideoQuery) -> VideoPage:
    """Returns the page that a query asks for.

    Raises:
        InvalidFieldError: `page_token` is none of this query.
        StoreUnavailableError: Redis cannot be reached.
    """
    cursor = _decode_token(query)
    is_wanted = _filter(query)
    found: list[video_pb2.Video] = []
    for _ in range(_MAX_SCANNED // _BATCH):
        ids, times = await _next_ids(redis, library.queue, query, cursor)
        if not ids:
            return VideoPage(tuple(found), "")
        cursor = times[-1]
        for record, position, start_micros in await _read(library, ids):
            if not is_wanted(record):
                continue
            if len(found) == query.page_size:
                return VideoPage(tuple(found), _encode_token(query, _create_time(found[-1])))
            found.append(assemble_video(record, queue_position=position, start_micros=start_micros))
    return VideoPage(tuple(found), _encode_token(query, cursor or 0))


async def _next_ids(
    redis: Redis, queue: str, query: VideoQuery, cursor: int | None
) -> tuple[list[bytes], list[int]]:
    """Returns a batch of ids with their create times, which no two videos share."""
    oldest, newest = _range(query, cursor)
    key = index_key(queue, query.tenant)
    with translated_errors():
        if query.is_oldest_first:
            entries: Any = await redis.zrangebyscore(
                key, oldest, newest, start=0, num=_BATCH, withscores=True
            )
        else:
            entries = await redis.zrevrangebyscore(
                key, newest, oldest, start=0, num=_BATCH, withscores=True
            )
    return [entry[0] for entry in entries], [int(entry[1]) for entry in entries]


def _range(query: VideoQuery, cursor: int | None) -> tuple[str, str]:
    """Returns the oldest and the newest create time of what is still to be listed."""
    oldest = "-inf" if query.create_time_from is None else str(to_micros(query.create_time_from))
    until = query.create_time_until
    newest = "+inf" if until is None else f"({to_micros(until)}"
    if cursor is None:
        return oldest, newest
    return (f"({cursor}", newest) if query.is_oldest_first else (oldest, f"({cursor}")


async def _read(library: FunctionLibrary, ids: list[bytes]) -> list[tuple[Record, int, int]]:
    snapshots: list[Any] = await library.read("get_many", {"videos": b",".join(ids)})
    return [(decode_record(answer), *place) for answer, *place in snapshots]


def _filter(query: VideoQuery) -> Callable[[Record], bool]:
    states = {video_pb2.Video.State.Name(s).removeprefix("STATE_").encode() for s in query.states}
    model = query.model.removeprefix("models/").encode()

    def is_wanted(record: Record) -> bool:
        if (states and record[b"state"] not in states) or (model and record[b"model"] != model):
            return False
        if not query.labels:
            return True
        labels = video_pb2.Video.FromString(record[b"submitted"]).spec.labels
        return all(labels.get(key) == value for key, value in query.labels)

    return is_wanted


def _create_time(video: video_pb2.Video) -> int:
    return video.create_time.ToMicroseconds()


def _query_digest(query: VideoQuery) -> bytes:
    filters = (
        query.tenant,
        sorted(query.states),
        query.model,
        sorted(query.labels),
        query.create_time_from and to_micros(query.create_time_from),
        query.create_time_until and to_micros(query.create_time_until),
        query.is_oldest_first,
    )
    return hashlib.sha256(repr(filters).encode()).digest()[:8]


def _encode_token(query: VideoQuery, cursor: int) -> str:
    packed = _TOKEN.pack(cursor, _query_digest(query))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _decode_token(query: VideoQuery) -> int | None:
    if not query.page_token:
        return None
    padding = "=" * (-len(query.page_token) % 4)
    try:
        packed = base64.b64decode(query.page_token + padding, altchars=b"-_", validate=True)
        cursor, digest = _TOKEN.unpack(packed)
    except (ValueError, struct.error):
        raise InvalidFieldError("page_token", "is not a token of ListVideos") from None
    if digest != _query_digest(query):
        raise InvalidFieldError("page_token", "belongs to a list with other filters")
    return int(cursor)
