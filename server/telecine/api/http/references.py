"""The picture or the video that a request brings or points to, put where the worker finds it."""

import base64
import hashlib
import io
from collections.abc import AsyncIterator

from starlette.datastructures import UploadFile

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.http.video_request import ReferenceUrl
from telecine.api.media_types import HEAD_BYTES, MEDIA_TYPES, MediaKind
from telecine.api.media_uploads import MAX_CHUNK_BYTES, upload_media
from telecine.errors import InvalidFieldError
from telecine.v1 import video_service_pb2

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


def reference_of(reference: ReferenceUrl | UploadFile | None) -> UploadFile | str | None:
    """Returns the file or the upload's name that a picture's field gives, None for none.

    Raises:
        InvalidFieldError: it gives neither, or both.
    """
    if reference is None or isinstance(reference, UploadFile):
        return reference
    if (reference.image_url is None) == (reference.file_id is None):
        raise InvalidFieldError("input_reference", "needs either image_url or file_id")
    if reference.image_url is not None:
        return read_data_url(reference.image_url, field="input_reference.image_url")
    return f"media/{(reference.file_id or '').removeprefix('media/')}"


def read_data_url(url: str, *, field: str) -> UploadFile:
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


async def digest_of(file: UploadFile) -> str:
    """Returns a digest of a form's file, to tell a repeated request from another one."""
    digest = hashlib.sha256()
    async for chunk in _chunks(file):
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
