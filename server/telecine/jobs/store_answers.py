"""What the job store's functions answer: videos, and refusals as errors of the one tree."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import redis.exceptions

from telecine.errors import (
    AlreadyExistsError,
    LeaseLostError,
    NotFoundError,
    QueueFullError,
    TelecineError,
    VideoStateError,
)
from telecine.jobs.account_answers import account_refusal_of
from telecine.jobs.video_record import Record, assemble_video, decode_record
from telecine.v1 import video_pb2

_FULL_RETRY_SECONDS = 5.0
_NOTHING: Record = MappingProxyType({})


def to_video(answer: Sequence[Any], name: str = "", *, known: Record = _NOTHING) -> video_pb2.Video:
    """Returns the video of a snapshot, which may leave out what is `known`.

    Raises:
        NotFoundError: it is the snapshot of no video.
    """
    record = decode_record(answer[0])
    if not record:
        raise NotFoundError(name)
    whole = {**known, **record}
    return assemble_video(whole, queue_position=answer[1], start_micros=answer[2])


@contextmanager
def refusals_raised() -> Iterator[None]:
    """Raises what a function refused with as an error of the tree."""
    try:
        yield
    except redis.exceptions.ResponseError as error:
        refusal = _refusal_of(str(error))
        if refusal is None:
            raise
        raise refusal from None


def _refusal_of(message: str) -> TelecineError | None:
    """Returns what a function refused with; None where it did not refuse but break."""
    code, _, detail = message.partition(" ")
    match code:
        case "LEASE_LOST":
            return LeaseLostError(detail)
        case "ALREADY_EXISTS":
            return AlreadyExistsError(detail)
        case "QUEUE_FULL":
            full = f"{detail} videos wait already"
            return QueueFullError(full, retry_seconds=_FULL_RETRY_SECONDS)
        case "TENANT_QUEUE_FULL":
            full = f"{detail} of your videos wait already"
            return QueueFullError(full, retry_seconds=_FULL_RETRY_SECONDS)
        case "WRONG_STATE":
            return VideoStateError(f"not possible while the video is {detail}", state=detail)
        case _:
            return account_refusal_of(code, detail)
