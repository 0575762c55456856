"""The picture or the video that a request brings or points to, put where the worker finds it."""

import base64
import hashlib
import io
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.datastructures import UploadFile

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.guarded_client import GuardedClient, OutsideError
from telecine.api.http.video_request import ReferenceUrl, upload_name
from telecine.api.media_types import HEAD_BYTES, MAX_IMAGE_BYTES, MEDIA_TYPES, MediaKind
from telecine.api.media_uploads import MAX_CHUNK_BYTES, upload_media
from telecine.errors import InvalidFieldError
from telecine.v1 import video_service_pb2

_URL_FIELD = "input_reference.image_url"
_FETCH_SECONDS = 15.0

_Upload = video_service_pb2.UploadMediaRequest


async def store_file(
    parts: GatewayParts, file: UploadFile, kind: MediaKind, *, caller: Caller, field: str
) -> str:
    """Stores a form's file as UploadMedia does, and returns its name.

    Raises:
        InvalidFieldError: it is too large, or no file of that kind.
    """
    content_type = await _type_of(file, kind, field)
    try:
        media = await upload_media(parts, _messages(file, content_type), caller=caller)
    except InvalidFieldError as error:
        raise InvalidFieldError(field, error.description) from error
    return media.name


class RemoteFile(NamedTuple):
    """A file that is fetched from where a URL says."""

    url: str


Given = UploadFile | RemoteFile | str
"""A file, or the name of what is stored already."""


def reference_of(reference: ReferenceUrl | UploadFile | None) -> Given | None:
    """Returns what a picture's field gives, None for nothing.

    Raises:
        InvalidFieldError: it gives neither, or both.
    """
    if reference is None or isinstance(reference, UploadFile):
        return reference
    if (reference.image_url is None) == (reference.file_id is None):
        raise InvalidFieldError("input_reference", "needs either image_url or file_id")
    url = reference.image_url
    if url is not None:
        is_inline = url[:5].lower() == "data:"
        return _read_data_url(url, field=_URL_FIELD) if is_inline else RemoteFile(url)
    return upload_name(reference.file_id or "")


async def fetch(web: GuardedClient, remote: RemoteFile) -> UploadFile:
    """Returns a picture that lies elsewhere.

    Raises:
        InvalidFieldError: it may not be fetched, or is not there.
    """
    try:
        content = await web.get(remote.url, max_bytes=MAX_IMAGE_BYTES, seconds=_FETCH_SECONDS)
    except OutsideError as error:
        raise InvalidFieldError(_URL_FIELD, str(error)) from None
    return UploadFile(io.BytesIO(content), size=len(content))


def _read_data_url(url: str, *, field: str) -> UploadFile:
    """Returns the file in a `data:` URL.

    Raises:
        InvalidFieldError: it is none, or not base64.
    """
    head, comma, payload = url.partition(",")
    if not (comma and head.lower().startswith("data:") and head.lower().endswith(";base64")):
        raise InvalidFieldError(field, "is not a data: URL in base64")
    try:
        content = base64.b64decode(payload, validate=True)
    except ValueError:
        raise InvalidFieldError(field, "is not base64") from None
    return UploadFile(io.BytesIO(content), size=len(content))


async def identity_of(given: UploadFile | RemoteFile) -> str:
    """Returns what tells a repeated request's file from another one."""
    if isinstance(given, RemoteFile):
        return given.url
    digest = hashlib.sha256()
    async for chunk in _chunks(given):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


async def _type_of(file: UploadFile, kind: MediaKind, field: str) -> str:
    """Returns a file's type by how it begins: clients often send none, or a wrong one."""
    await file.seek(0)
    head = await file.read(HEAD_BYTES)
    for content_type, media_type in MEDIA_TYPES.items():
        if content_type.startswith(f"{kind}/") and media_type.matches(head):
            return content_type
    taken = ", ".join(name for name in MEDIA_TYPES if name.startswith(f"{kind}/"))
    raise InvalidFieldError(field, f"is not a file of one of the types {taken}")


async def _messages(file: UploadFile, content_type: str) -> AsyncIterator[_Upload]:
    header = video_service_pb2.MediaHeader(content_type=content_type, size_bytes=file.size or 0)
    yield _Upload(header=header)
    async for chunk in _chunks(file):
        yield _Upload(data=chunk)


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    await file.seek(0)
    while chunk := await file.read(MAX_CHUNK_BYTES):
        yield chunk
