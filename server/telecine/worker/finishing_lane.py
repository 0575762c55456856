"""The lane that turns frames into files: encoding, thumbnail, store. It needs no GPU."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from telecine.jobs.job_store import JobStore
from telecine.media.picture_signals import SmallPictures
from telecine.media.sound import Sound
from telecine.media.spritesheet import SpriteSheet
from telecine.media.thumbnail import CONTENT_TYPE as PICTURE_CONTENT_TYPE
from telecine.media.thumbnail import encode_thumbnail
from telecine.media.transcoder import EncodingOptions, Frames, Transcoder
from telecine.storage.keys import artifact_key
from telecine.storage.object_store import ObjectStore, StoredObject
from telecine.v1 import video_pb2
from telecine.worker.finished_attempts import FinishedFiles, adopt_finished, store_manifest
from telecine.worker.held_video import HeldVideo
from telecine.worker.live_file import (
    LIVE_ID,
    LiveFile,
    has_live_file,
    open_live_file,
    remove_pieces,
)
from telecine.worker.patient_upload import upload_patiently
from telecine.worker.sound_making import goes_with_picture
from telecine.worker.sound_sync import SyncedSound, synchronise
from telecine.worker.video_files import open_video_files, video_files
from telecine.worker.worker_state import WorkerState

_T = TypeVar("_T")
THUMBNAIL_ID = "thumbnail.webp"
LIP_SYNC_ID = "lip_sync.json"
SPRITESHEET_ID = "spritesheet.webp"


class FinishingLane:
    """Makes a video's files while its frames still come, and stores them.

    A realtime video's live file is stored and announced piece by piece, as it grows.
    """

    def __init__(self, store: ObjectStore, jobs: JobStore) -> None:
        self._store = store
        self._jobs = jobs

    @asynccontextmanager
    async def open(self, held: HeldVideo) -> AsyncIterator["Finishing"]:
        """Takes on one video; leaving the context removes what was not stored."""
        spec = held.video.spec
        options = EncodingOptions(fps=spec.fps, upscale=max(1, spec.upscale))
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telecine-")))
            transcoder = await stack.enter_async_context(
                Transcoder(open_video_files(spec, options, folder))
            )
            live = None
            if has_live_file(held.video):
                opening = open_live_file(
                    folder / LIVE_ID, options, held, store=self._store, jobs=self._jobs
                )
                live = await stack.enter_async_context(opening)
            yield Finishing(
                held, transcoder=transcoder, live=live, folder=folder, store=self._store
            )

    async def adopt_finished(self, held: HeldVideo) -> FinishedFiles | None:
        """Returns the files of an attempt whose end was lost, made this one's; None for none."""
        held.state.enter(WorkerState.LOADING)  # from IDLE nothing can fail
        files = await adopt_finished(self._store, held.video)
        if files is not None:
            for state in (WorkerState.RECOVERING, WorkerState.UPLOADING):
                held.state.enter(state)
            await held.enter_stage(video_pb2.STAGE_UPLOADING)
            await held.notify("FILES_FOUND", "an earlier attempt had stored its files")
        return files

    async def clear(self, video: video_pb2.Video) -> None:
        """Removes what was kept only until the video's end."""
        if has_live_file(video):
            await remove_pieces(self._store, video)


class Finishing:
    """One video on its way from frames to stored files."""

    def __init__(
        self,
        held: HeldVideo,
        *,
        transcoder: Transcoder,
        live: LiveFile | None,
        folder: Path,
        store: ObjectStore,
    ) -> None:
        self._held = held
        self._transcoder = transcoder
        self._live = live
        self._folder = folder
        self._store = store
        self._num_frames = 0
        self._still: Frames | None = None
        self._sound: Sound | None = None
        # What goes with what is seen is compared with it.
        self._pictures = SmallPictures() if goes_with_picture(held.video.spec) else None
        self._sheet = SpriteSheet(held.video.num_frames)

    async def write(self, frames: Frames) -> None:
        """Takes `frames` [n, H, W, 3] uint8; waits while the encoder is far behind."""
        middle = self._held.video.num_frames // 2 - self._num_frames
        if 0 <= middle < len(frames):
            self._still = frames[middle].copy()
        self._num_frames += len(frames)
        await asyncio.to_thread(self._look_at, frames)
        if self._live is not None:
            await self._live.write(frames)
        await self._transcoder.write(frames)

    def _look_at(self, frames: Frames) -> None:
        self._sheet.add(frames)
        if self._pictures is not None:
            self._pictures.add(frames)

    def add_sound(self, sound: Sound) -> None:
        """Takes the sound of the whole video, before `finish`."""
        self._sound = sound

    async def finish(self) -> FinishedFiles:
        """Completes the files and stores them."""
        if self._live is not None:
            await self._live.finish()
        synced = await self._add_track()
        await self._transcoder.finish()
        self._held.state.enter(WorkerState.UPLOADING)
        await self._held.enter_stage(video_pb2.STAGE_UPLOADING)
        storing = [
            self._store_video(
                file.artifact_id, video_pb2.Artifact.KIND_VIDEO, content_type=file.content_type
            )
            for file in video_files(self._held.video.spec)
        ]
        if self._still is not None:
            encode = partial(encode_thumbnail, self._still)
            kind = video_pb2.Artifact.KIND_THUMBNAIL
            storing.append(self._store_picture(THUMBNAIL_ID, kind, encode))
            kind = video_pb2.Artifact.KIND_SPRITESHEET
            storing.append(self._store_picture(SPRITESHEET_ID, kind, self._sheet.encode))
        if self._live is not None:
            storing.append(self._store_video(LIVE_ID, video_pb2.Artifact.KIND_LIVE_VIDEO))
        if synced is not None:
            storing.append(self._store_document(LIP_SYNC_ID, synced.document))
        lip_sync = synced.lip_sync if synced is not None else None
        files = FinishedFiles(await _all_or_none(storing), lip_sync)
        await upload_patiently(
            self._held, lambda: store_manifest(self._store, self._held.video, files)
        )
        return files

    async def _add_track(self) -> SyncedSound | None:
        """Hands the sound to the files; returns how sound that should go with the pictures does."""
        if self._sound is None:
            return None
        if self._pictures is None:
            await self._transcoder.add_sound(self._sound)
            return None
        synced = await asyncio.to_thread(synchronise, self._sound, self._pictures, self._held.video)
        await self._transcoder.add_sound(synced.sound)
        return synced

    async def _store_document(self, artifact_id: str, document: bytes) -> video_pb2.Artifact:
        key = self._key(artifact_id)
        stored = await upload_patiently(self._held, lambda: self._store.put(key, document))
        kind = video_pb2.Artifact.KIND_LIP_SYNC
        return _artifact(artifact_id, kind, "application/json", stored)

    async def _store_video(
        self,
        artifact_id: str,
        kind: video_pb2.Artifact.Kind.ValueType,
        *,
        content_type: str = "video/mp4",
    ) -> video_pb2.Artifact:
        key, path = self._key(artifact_id), self._folder / artifact_id
        stored = await upload_patiently(self._held, lambda: self._store.put_file(key, path))
        return _artifact(artifact_id, kind, content_type, stored)

    async def _store_picture(
        self,
        artifact_id: str,
        kind: video_pb2.Artifact.Kind.ValueType,
        encode: Callable[[], bytes],
    ) -> video_pb2.Artifact:
        encoded = await asyncio.to_thread(encode)
        key = self._key(artifact_id)
        stored = await upload_patiently(self._held, lambda: self._store.put(key, encoded))
        return _artifact(artifact_id, kind, PICTURE_CONTENT_TYPE, stored)

    def _key(self, artifact_id: str) -> str:
        return artifact_key(self._held.video, artifact_id)


async def _all_or_none(uploads: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Waits for all; once one fails none of the others goes on."""
    tasks = [asyncio.create_task(upload) for upload in uploads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _artifact(
    artifact_id: str,
    kind: video_pb2.Artifact.Kind.ValueType,
    content_type: str,
    stored: StoredObject,
) -> video_pb2.Artifact:
    return video_pb2.Artifact(
        artifact_id=artifact_id,
        kind=kind,
        content_type=content_type,
        size_bytes=stored.size_bytes,
        digest=stored.digest,
    )
