"""The growing file of a realtime video: each piece is stored and announced once it is encoded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from telecine.errors import ObjectStoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.media.live_transcoder import LivePiece, LiveWriter
from telecine.media.transcoder import EncodingOptions, Frames, Transcoder
from telecine.storage.keys import piece_key, pieces_prefix
from telecine.storage.object_store import ObjectStore
from telecine.v1 import video_pb2
from telecine.worker.held_video import HeldVideo, until_stored
from telecine.worker.interruptions import obey

LIVE_ID = "live.mp4"
# Looks like the usual file at 18, which an encoder that looks ahead reaches with fewer bits.
LIVE_CRF = 22

_log = structlog.get_logger(__name__)
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 2.0


def has_live_file(video: video_pb2.Video) -> bool:
    """Whether a video can be watched while it is being made."""
    return video.spec.tier == video_pb2.TIER_REALTIME


@asynccontextmanager
async def open_live_file(
    path: Path, options: EncodingOptions, held: HeldVideo, *, store: ObjectStore, jobs: JobStore
) -> AsyncIterator["LiveFile"]:
    """Begins the file at `path` and announces its header; leaving the context stops all that."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[LivePiece | None] = asyncio.Queue()
    size = held.video.spec.size

    def hand_over(piece: LivePiece) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    writer = await asyncio.to_thread(
        LiveWriter,
        path,
        replace(options, crf=LIVE_CRF),
        size=(size.width, size.height),
        on_piece=hand_over,
    )
    publisher = PiecePublisher(path, held, store=store, jobs=jobs)
    publishing = asyncio.create_task(publisher.publish(pieces))
    try:
        async with Transcoder(writer) as transcoder:
            yield LiveFile(transcoder, publisher, pieces=pieces, publishing=publishing)
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


class LiveFile:
    """Takes frames in chunks, each of which becomes a piece; see open_live_file.

    A store that cannot be reached holds back only what is watched, not the video: pieces wait
    on disk, and no more of them in memory than their places.
    """

    def __init__(
        self,
        transcoder: Transcoder,
        publisher: "PiecePublisher",
        *,
        pieces: asyncio.Queue[LivePiece | None],
        publishing: asyncio.Task[None],
    ) -> None:
        self._transcoder = transcoder
        self._publisher = publisher
        self._pieces = pieces
        self._publishing = publishing

    async def write(self, frames: Frames) -> None:
        """Takes a chunk [n, H, W, 3] uint8; waits only while the encoder is far behind.

        Raises:
            LeaseLostError: the video is another worker's by now.
            VideoCancelled: a client has cancelled it.
            ValueError: earlier frames do not fit the video.
        """
        if self._publishing.done():
            self._publishing.result()
        await self._transcoder.write(frames)

    async def finish(self) -> None:
        """Waits until the file is whole and every piece of it is announced."""
        await self._transcoder.finish()
        self._publisher.is_whole.set()
        self._pieces.put_nowait(None)
        await self._publishing


class PiecePublisher:
    """Stores the pieces of a growing file, each as an object of its own, and announces them."""

    def __init__(self, path: Path, held: HeldVideo, *, store: ObjectStore, jobs: JobStore) -> None:
        self.is_whole = asyncio.Event()
        self._path = path
        self._held = held
        self._store = store
        self._jobs = jobs

    async def publish(self, pieces: asyncio.Queue[LivePiece | None]) -> None:
        """Returns after the piece that is None; see LiveFile.write for what it raises."""
        while (piece := await pieces.get()) is not None:
            await self._put(piece)
            await until_stored(partial(self._announce, piece))

    async def _put(self, piece: LivePiece) -> None:
        video = self._held.video
        key = piece_key(video.name, attempt=video.attempt, offset=piece.offset)
        data = await asyncio.to_thread(_read, self._path, piece)
        pause_seconds = _FIRST_RETRY_SECONDS
        while True:
            is_last_try = self.is_whole.is_set()
            try:
                await self._store.put(key, data)
                return
            except ObjectStoreUnavailableError as error:
                _log.warning("piece_not_stored", key=key, error=str(error))
                if is_last_try:  # the whole file is stored next, and followers read that
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self.is_whole.wait()
            pause_seconds = min(2 * pause_seconds, _LONGEST_RETRY_SECONDS)

    async def _announce(self, piece: LivePiece) -> None:
        fragment = video_pb2.VideoEvent.FragmentReady(
            artifact_id=LIVE_ID,
            offset=piece.offset,
            size_bytes=piece.size_bytes,
            digest=piece.digest,
            num_frames=piece.num_frames,
            attempt=self._held.video.attempt,
        )
        obey(await self._jobs.announce_fragment(self._held.lease, fragment))


async def remove_pieces(store: ObjectStore, video: video_pb2.Video) -> None:
    """Removes the pieces of every attempt, once the video has ended: they repeat its file."""
    try:
        for attempt in range(1, video.attempt + 1):
            await store.delete_prefix(pieces_prefix(video.name, attempt=attempt))
    except ObjectStoreUnavailableError as error:
        _log.warning("pieces_not_removed", video=video.name, error=str(error))


def _read(path: Path, piece: LivePiece) -> bytes:
    with path.open("rb") as file:
        file.seek(piece.offset)
        return file.read(piece.size_bytes)
