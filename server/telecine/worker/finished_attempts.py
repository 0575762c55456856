"""Finds the files of an attempt that was done when its end was lost: they are not made again.

An attempt's last upload is a manifest that names its files. A worker that dies between that and
the video's end, or a store that loses the end, leaves whole files behind.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import structlog
from google.protobuf import json_format

from telecine.errors import NotFoundError, ObjectStoreUnavailableError
from telecine.storage.keys import artifact_key, video_prefix
from telecine.storage.object_store import ObjectStore, StoredObject
from telecine.v1 import video_pb2

_MANIFEST_ID = "manifest.json"
_log = structlog.get_logger(__name__)


class FinishedFiles(NamedTuple):
    """What came of a video: its files, and how voice and mouth go together in it."""

    artifacts: list[video_pb2.Artifact]
    lip_sync: video_pb2.LipSync | None = None


async def store_manifest(
    store: ObjectStore, video: video_pb2.Video, files: FinishedFiles
) -> StoredObject:
    """Says that an attempt has stored all its files.

    Raises:
        ObjectStoreUnavailableError: the store takes nothing now.
    """
    manifest = video_pb2.Video(
        name=video.name,
        attempt=video.attempt,
        model_digest=video.model_digest,
        artifacts=files.artifacts,
        lip_sync=files.lip_sync,
    )
    text = json_format.MessageToJson(manifest)
    return await store.put(artifact_key(video, _MANIFEST_ID), text.encode())


async def adopt_finished(store: ObjectStore, video: video_pb2.Video) -> FinishedFiles | None:
    """Makes the files of an earlier attempt this one's; None where none has stored all of them."""
    try:
        async for key in store.list_keys(video_prefix(video.name)):
            if key.endswith(f"/{_MANIFEST_ID}"):
                finished = _parse(await _read(store, key))
                if finished and await _adopt(store, finished, video):
                    _log.warning("attempt_adopted", video=video.name, attempt=finished.attempt)
                    lip_sync = finished.lip_sync if finished.HasField("lip_sync") else None
                    return FinishedFiles(list(finished.artifacts), lip_sync)
    except (NotFoundError, ObjectStoreUnavailableError, OSError) as error:  # a full disk, say
        _log.warning("no_attempt_adopted", video=video.name, error=str(error))
    return None


async def _adopt(store: ObjectStore, finished: video_pb2.Video, video: video_pb2.Video) -> bool:
    if (finished.name, finished.model_digest) != (video.name, video.model_digest):
        return False
    for artifact in finished.artifacts:
        source = artifact_key(finished, artifact.artifact_id)
        if not _is_same(await store.stat(source), artifact):
            return False
        target = artifact_key(video, artifact.artifact_id)
        if source != target and not _is_same(await _copy(store, source, target), artifact):
            return False
    return bool(finished.artifacts)


def _is_same(stored: StoredObject, artifact: video_pb2.Artifact) -> bool:
    return (stored.size_bytes, stored.digest) == (artifact.size_bytes, artifact.digest)


async def _copy(store: ObjectStore, source: str, target: str) -> StoredObject:
    with tempfile.NamedTemporaryFile(prefix="telecine-") as file:
        async for chunk in store.read(source):
            file.write(chunk)
        file.flush()
        return await store.put_file(target, Path(file.name))


async def _read(store: ObjectStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key)])


def _parse(text: bytes) -> video_pb2.Video | None:
    try:
        return json_format.Parse(text, video_pb2.Video())
    except (json_format.ParseError, UnicodeDecodeError):
        return None
