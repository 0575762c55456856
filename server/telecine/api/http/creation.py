"""Makes videos of a request's body; the same ones where the request comes again."""

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import UploadFile

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.http.references import Given, RemoteFile, fetch, identity_of, store_file
from telecine.api.http.video_request import VideoOptions, upload_name
from telecine.api.media_types import MediaKind
from telecine.api.media_uploads import remove_media
from telecine.api.video_batches import MAX_ID_CHARACTERS, batch_create_videos, singles_of
from telecine.api.videos import create_video, find_repeats, fingerprint_of
from telecine.errors import (
    AlreadyExistsError,
    InvalidFieldError,
    NotImplementedYetError,
    PermissionDeniedError,
    QueueFullError,
    QuotaExceededError,
    RateLimitedError,
    TelecineError,
    VideoStateError,
)
from telecine.v1 import video_pb2, video_service_pb2

_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_ID_CHARACTERS}}}")
# Nothing was queued: what was stored for the request is of no use.
_REFUSALS = (
    AlreadyExistsError,
    InvalidFieldError,
    NotImplementedYetError,
    PermissionDeniedError,
    QueueFullError,
    QuotaExceededError,
    RateLimitedError,
    VideoStateError,
)


@dataclass(frozen=True)
class Source:
    """What a video is made from beside its prompt.

    Attributes:
        given: a file, or the name of an upload or a video.
        kind: what a file must be.
        field: where the request has it.
        place: writes its name into the spec.
    """

    given: Given
    kind: MediaKind
    field: str
    place: Callable[[video_pb2.VideoSpec, str], None]


_File = tuple[Source, UploadFile | RemoteFile]


@dataclass(frozen=True)
class Creation:
    """What a request for videos asks for.

    Attributes:
        request: for one of them.
        num_videos: how many; None where not several were asked for, but one.
        sources: what they are made from.
    """

    request: video_service_pb2.CreateVideoRequest
    num_videos: int | None
    sources: tuple[Source, ...]


def creation_of(
    spec: video_pb2.VideoSpec,
    body: VideoOptions,
    idempotency_key: str | None,
    source: Source | None,
) -> Creation:
    """Returns what a body and a key ask for; a sound track of the body's is one more source."""
    sources = [source] if source else []
    if body.input_audio:
        track = body.input_audio
        given = upload_name(track) if isinstance(track, str) else track
        sources.append(Source(given, "audio", "input_audio", _place_track))
    request = video_service_pb2.CreateVideoRequest(
        spec=spec,
        request_id=_request_id_of(idempotency_key),
        webhook_url=body.webhook_url or "",
    )
    return Creation(request, body.n, tuple(sources))


async def create(
    parts: GatewayParts, creation: Creation, *, caller: Caller
) -> list[video_pb2.Video]:
    """Queues videos, or returns those that this very request has made before.

    Raises:
        AlreadyExistsError: the key was used for another request.
        InvalidFieldError: a field is wrong.
    """
    files: list[_File] = []
    for source in creation.sources:
        if isinstance(source.given, str):
            source.place(creation.request.spec, source.given)
        else:
            files.append((source, source.given))
    if not files:
        return await _queue(parts, creation, caller=caller)
    return await _create_from_files(parts, creation, files, caller=caller)


async def _create_from_files(
    parts: GatewayParts, creation: Creation, files: Sequence[_File], *, caller: Caller
) -> list[video_pb2.Video]:
    fingerprint = await _fingerprint(creation, files)
    batch = _batch_of(creation)
    singles = [creation.request] if batch is None else singles_of(batch)
    known = await find_repeats(parts, singles, fingerprint, caller=caller)
    if known:
        return known
    stored: list[tuple[Source, str]] = []
    try:
        for source, given in files:
            file = given if isinstance(given, UploadFile) else await _fetch(parts, given, caller)
            name = await store_file(parts, file, source.kind, caller=caller, field=source.field)
            stored.append((source, name))
            source.place(creation.request.spec, name)
        videos = await _queue(parts, creation, caller=caller, fingerprint=fingerprint)
    except _REFUSALS:
        for _, name in stored:
            await remove_media(parts, name)
        raise
    await _remove_unused(parts, stored, videos)
    return videos


async def _remove_unused(
    parts: GatewayParts, stored: Sequence[tuple[Source, str]], videos: Sequence[video_pb2.Video]
) -> None:
    """Removes what this very request, sent twice at once, has stored a second time."""
    for source, name in stored:
        if not any(_is_made_from(video, source, name) for video in videos):
            with suppress(TelecineError):  # the videos are there; it goes when its time is over
                await remove_media(parts, name)


def _is_made_from(video: video_pb2.Video, source: Source, name: str) -> bool:
    placed = copy.deepcopy(video.spec)
    source.place(placed, name)
    return bool(placed == video.spec)


async def _fetch(parts: GatewayParts, remote: RemoteFile, caller: Caller) -> UploadFile:
    # It holds memory and a connection for as long as where it lies takes.
    with parts.open_uploads.hold(caller):
        return await fetch(parts.web, remote)


async def _queue(
    parts: GatewayParts, creation: Creation, *, caller: Caller, fingerprint: bytes = b""
) -> list[video_pb2.Video]:
    batch = _batch_of(creation)
    if batch is None:
        single = creation.request
        return [await create_video(parts, single, caller=caller, fingerprint=fingerprint)]
    answer = await batch_create_videos(parts, batch, caller=caller, fingerprint=fingerprint)
    return list(answer.videos)


def _batch_of(creation: Creation) -> video_service_pb2.BatchCreateVideosRequest | None:
    """Returns the request for several videos, None where no number of them was said."""
    if creation.num_videos is None:
        return None
    return video_service_pb2.BatchCreateVideosRequest(
        spec=creation.request.spec,
        num_videos=creation.num_videos,
        request_id=creation.request.request_id,
        webhook_url=creation.request.webhook_url,
    )


async def _fingerprint(creation: Creation, files: Sequence[_File]) -> bytes:
    """Returns a digest of the request as sent: the same file is stored under another name."""
    sent = copy.deepcopy(_batch_of(creation) or creation.request)
    for source, given in files:
        source.place(sent.spec, await identity_of(given))
    return fingerprint_of(sent)


def _request_id_of(idempotency_key: str | None) -> str:
    """Returns a key as the request id that it stands for; a digest of one of another form."""
    if idempotency_key is None or _REQUEST_ID.fullmatch(idempotency_key):
        return idempotency_key or ""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:MAX_ID_CHARACTERS]


def _place_track(spec: video_pb2.VideoSpec, name: str) -> None:
    spec.input_audio = name
