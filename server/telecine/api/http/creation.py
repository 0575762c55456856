"""Makes a video of a request's body; the same one where the request comes again."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.datastructures import UploadFile

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.http.references import Given, RemoteFile, fetch, identity_of, store_file
from telecine.api.http.video_request import VideoOptions
from telecine.api.media_types import MediaKind
from telecine.api.videos import create_video
from telecine.errors import InvalidFieldError, NotImplementedYetError, QueueFullError
from telecine.storage.keys import media_key
from telecine.v1 import video_pb2, video_service_pb2

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Nothing was queued: what was stored for the request is of no use.
_REFUSALS = (InvalidFieldError, NotImplementedYetError, QueueFullError)


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


def track_of(body: VideoOptions) -> list[Source]:
    """Returns the sound track that a body brings, as a file or by its name, if it does."""
    if not body.input_audio:
        return []
    return [Source(body.input_audio, "audio", "input_audio", _place_track)]


def request_for(
    spec: video_pb2.VideoSpec, body: VideoOptions, idempotency_key: str | None
) -> video_service_pb2.CreateVideoRequest:
    """Returns the request that a body and a key stand for."""
    return video_service_pb2.CreateVideoRequest(
        spec=spec,
        request_id=_request_id_of(idempotency_key),
        webhook_url=body.webhook_url or "",
    )


async def create(
    parts: GatewayParts,
    request: video_service_pb2.CreateVideoRequest,
    *sources: Source,
    caller: Caller,
) -> video_pb2.Video:
    """Queues a video, or returns the one that this very request has made before.

    Raises:
        AlreadyExistsError: the key was used for another request.
        InvalidFieldError: a field is wrong.
    """
    files = []
    for source in sources:
        if isinstance(source.given, str):
            source.place(request.spec, source.given)
        else:
            files.append((source, source.given))
    if not files:
        return await create_video(parts, request, caller=caller)
    return await _create_from_files(parts, request, files, caller=caller)


async def _create_from_files(
    parts: GatewayParts,
    request: video_service_pb2.CreateVideoRequest,
    files: Sequence[_File],
    *,
    caller: Caller,
) -> video_pb2.Video:
    fingerprint = await _fingerprint(request.spec, files)
    if request.request_id:
        known = await parts.jobs.find_repeat(
            tenant=caller.tenant, request_id=request.request_id, fingerprint=fingerprint
        )
        if known is not None:
            return known
    stored: list[str] = []
    try:
        for source, given in files:
            file = given if isinstance(given, UploadFile) else await fetch(parts.web, given)
            name = await store_file(parts, file, source.kind, caller=caller, field=source.field)
            stored.append(name)
            source.place(request.spec, name)
        return await create_video(parts, request, caller=caller, fingerprint=fingerprint)
    except _REFUSALS:
        for name in stored:
            await parts.objects.delete_prefix(media_key(name))
        raise


async def _fingerprint(spec: video_pb2.VideoSpec, files: Sequence[_File]) -> bytes:
    """Returns a digest of the request as sent: the same file is stored under another name."""
    sent = video_pb2.VideoSpec()
    sent.CopyFrom(spec)
    for source, given in files:
        source.place(sent, await identity_of(given))
    return hashlib.sha256(sent.SerializeToString(deterministic=True)).digest()


def _request_id_of(idempotency_key: str | None) -> str:
    """Returns a key as the request id that it stands for; a digest of one of another form."""
    if idempotency_key is None or _REQUEST_ID.fullmatch(idempotency_key):
        return idempotency_key or ""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def _place_track(spec: video_pb2.VideoSpec, name: str) -> None:
    spec.input_audio = name
