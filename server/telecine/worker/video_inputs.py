"""What a video is made from beside its prompt: fetched, decoded, fitted to its size."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from telecine.errors import InputUnusableError, NotFoundError, ObjectStoreUnavailableError
from telecine.inference.requests import HEARD_SAMPLE_RATE, ClipInputs, EncodedImages
from telecine.jobs.job_store import JobStore
from telecine.media.clip_file import ClipFile
from telecine.media.picture_file import read_picture
from telecine.media.sound import Sound, fit, mono, resample
from telecine.media.track_file import read_track
from telecine.media.transcoder import Frames
from telecine.storage.keys import artifact_key, media_key
from telecine.storage.object_store import ObjectStore
from telecine.v1 import video_pb2
from telecine.worker.held_video import HeldVideo, until_stored
from telecine.worker.interruptions import HandBack
from telecine.worker.video_files import video_files

_T = TypeVar("_T")
MAX_INPUT_BYTES = 512 << 20
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class VideoInputs:
    """The pictures of one video's input.

    Attributes:
        frames: what is encoded for the sampler, [n, H, W, 3]: a first frame, the frames that are
            gone on from, or all of a source.
        clip_frames: frames of the clip that the sampler makes, those it begins with included.
        clip_start: the source's last frames, which the clip of an extended video begins with.
        num_overlap_frames: how many of these are not given to the sampler: it makes its own.
        num_spare_frames: frames at the clip's end that are not shown.
        source: where an extended video is read from, as far as it is kept.
        first_kept_frame: of the source, at the video's frame rate.
        track: the sound that the video's owner sent, as it goes into the file.
        heard: the same as the model's encoder takes it, [n] of HEARD_SAMPLE_RATE; where the picture
            is made to it.
    """

    spec: video_pb2.VideoSpec
    frames: Frames | None
    clip_frames: int
    clip_start: Frames | None = None
    num_overlap_frames: int = 0
    num_spare_frames: int = 0
    num_kept_frames: int = 0
    first_kept_frame: int = 0
    source: ClipFile | None = None
    track: Sound | None = None
    heard: NDArray[np.float32] | None = None

    def for_sampler(self, encoded: EncodedImages, *, is_image_required: bool) -> ClipInputs:
        """Says what the sampler makes of the encoded frames."""
        if self.spec.HasField("edit"):
            return ClipInputs(
                # A first frame that is given would stay as it is while the others change.
                conditioning=encoded.conditioning if is_image_required else {},
                source_latents=encoded.latents,
                strength=self.spec.edit.strength,
            )
        return ClipInputs(conditioning=encoded.conditioning, given_latents=encoded.latents)

    async def kept_frames(self) -> AsyncGenerator[Frames, None]:
        """Yields the source's frames before those that the clip of an extended video begins with.

        Raises:
            InputUnusableError: they cannot be decoded.
        """
        if self.source is None or self.clip_start is None:
            return
        chunks = self.source.frames(
            fps=self.spec.fps,
            size=(self.spec.size.width, self.spec.size.height),
            first=self.first_kept_frame,
            count=self.num_kept_frames - len(self.clip_start),
        )
        while True:
            with _blaming(*input_of(self.spec)):
                chunk = await asyncio.to_thread(_next, chunks)
            if chunk is None:
                return
            yield chunk

    def stitched(self, decoded: Frames, *, first: int) -> Frames:
        """Returns decoded frames of the clip, from number `first` on, as the video shows them.

        Where an extended video goes on from the source, its last frames turn into the clip's, a
        little more with each: no single step shows what the VAE loses and the model misses.
        """
        start = self.clip_start
        if start is None:
            return decoded
        decoded = decoded[: max(0, self.clip_frames - self.num_spare_frames - first)]
        num_mixed = min(len(decoded), len(start) - first)
        if num_mixed <= 0:
            return decoded
        num_fading = 2 * self.num_overlap_frames or len(start)
        numbers = np.arange(first, first + num_mixed, dtype=np.float32) - len(start) + num_fading
        share = ((numbers + 1) / (num_fading + 1)).clip(0, 1)[:, None, None, None]
        mixed = decoded.astype(np.float32)
        mixed[:num_mixed] *= share
        mixed[:num_mixed] += start[first : first + num_mixed] * (1 - share)
        return mixed.round().astype(np.uint8)


class InputReader:
    """Reads what videos are made from, out of the object store.

    Args:
        store: where uploads and finished videos lie.
        jobs: knows the finished videos.
        patience_seconds: how long a store that cannot be reached is waited for, before another
            worker may have the video.
    """

    def __init__(self, store: ObjectStore, jobs: JobStore, *, patience_seconds: float) -> None:
        self._store = store
        self._jobs = jobs
        self._patience_seconds = patience_seconds

    @asynccontextmanager
    async def open(self, held: HeldVideo) -> AsyncIterator[VideoInputs]:
        """Reads a video's input; nothing is left of it after the block.

        Raises:
            InputUnusableError: it is gone, cannot be decoded, or is beyond the limits.
            HandBack: the object store was away for too long.
        """
        field, name = input_of(held.video.spec)
        with tempfile.TemporaryDirectory(prefix="telecine-input-") as folder:
            sent = await self._read_track(held, Path(folder) / "track")
            inputs = VideoInputs(held.video.spec, None, clip_frames=held.video.num_frames)
            if not field:
                yield await asyncio.to_thread(_with_track, inputs, sent, held.video)
                return
            path = Path(folder) / "input"
            with _blaming(field, name):
                await self._fetch(held, name, path)
                inputs = await asyncio.to_thread(_read, held.video, path)
            # What goes wrong from here on is not the input's fault.
            yield await asyncio.to_thread(_with_track, inputs, sent, held.video)

    async def _read_track(self, held: HeldVideo, path: Path) -> Sound | None:
        """Reads the sound that was sent, before anything is made: it may be of no use."""
        name = held.video.spec.input_audio
        if not name:
            return None
        with _blaming("spec.input_audio", name):
            await self._patiently(held, partial(_download, self._store, media_key(name), path))
            return await asyncio.to_thread(read_track, path)

    async def _fetch(self, held: HeldVideo, name: str, path: Path) -> None:
        key = media_key(name)
        if name.startswith("videos/"):
            source = await until_stored(lambda: self._jobs.get(name))
            if source.state != video_pb2.Video.STATE_SUCCEEDED:
                raise NotFoundError(name)
            key = artifact_key(source, video_files(source.spec)[0].artifact_id)
        await self._patiently(held, partial(_download, self._store, key, path))

    async def _patiently(self, held: HeldVideo, fetch: Callable[[], Awaitable[_T]]) -> _T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_seconds
        pause_seconds = _FIRST_RETRY_SECONDS
        while True:
            try:
                return await fetch()
            except ObjectStoreUnavailableError as error:
                if pause_seconds == _FIRST_RETRY_SECONDS:
                    await held.notify(
                        error.reason, "the object store cannot be reached; the video waits for it"
                    )
                if loop.time() > deadline:
                    raise HandBack(error.reason) from error
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_RETRY_SECONDS)


@contextmanager
def _blaming(field: str, name: str) -> Iterator[None]:
    """Says which input it was that is gone or cannot be used."""
    try:
        yield
    except NotFoundError as error:
        raise InputUnusableError(field, f"{name} is gone") from error
    except ValueError as error:
        raise InputUnusableError(field, f"{name}: {error}") from error


def num_clip_frames(video: video_pb2.Video) -> int:
    """Returns how many frames the sampler makes, those that it is given included."""
    if not video.spec.HasField("extend"):
        return video.num_frames
    extend = video.spec.extend
    num_frames: int = extend.num_context_frames + extend.num_overlap_frames + extend.num_frames
    return num_frames + _num_spare_frames(extend)


def _num_spare_frames(extend: video_pb2.Extend) -> int:
    """The overlap is one frame less than its latent frame, whose last one is then too much."""
    return 1 if extend.num_overlap_frames else 0


def input_of(spec: video_pb2.VideoSpec) -> tuple[str, str]:
    """Returns the field that names what a video is made from, and the name; else nothing."""
    if spec.input_image:
        return "spec.input_image", spec.input_image
    for field in ("edit", "extend"):
        if spec.HasField(field):
            return f"spec.{field}.source", getattr(spec, field).source
    return "", ""


async def _download(store: ObjectStore, key: str, path: Path) -> None:
    num_bytes = 0
    with path.open("wb") as file:
        async with aclosing(store.read(key)) as chunks:
            async for chunk in chunks:
                num_bytes += len(chunk)
                if num_bytes > MAX_INPUT_BYTES:
                    raise ValueError(f"it has more than {MAX_INPUT_BYTES} bytes")
                await asyncio.to_thread(file.write, chunk)


def _read(video: video_pb2.Video, path: Path) -> VideoInputs:
    spec, num_frames = video.spec, video.num_frames
    if spec.input_image:
        return VideoInputs(spec, read_picture(path.read_bytes()), clip_frames=num_frames)
    source = ClipFile(path)
    has_frames = source.num_frames_at(spec.fps)
    if spec.HasField("edit"):
        if has_frames < num_frames:
            raise ValueError(
                f"it has {has_frames} frames at {spec.fps} fps; spec.duration asks for {num_frames}"
            )
        frames = _take(source, spec, first=0, count=num_frames)
        return VideoInputs(spec, frames, clip_frames=num_frames)
    extend = spec.extend
    num_kept = num_frames - extend.num_frames
    if has_frames < num_kept:
        raise ValueError(
            f"it has {has_frames} frames at {spec.fps} fps; spec.duration keeps {num_kept}"
        )
    num_taken = extend.num_context_frames + extend.num_overlap_frames
    clip_start = _take(source, spec, first=has_frames - num_taken, count=num_taken)
    return VideoInputs(
        spec,
        clip_start[: extend.num_context_frames],
        clip_frames=num_clip_frames(video),
        clip_start=clip_start,
        num_overlap_frames=extend.num_overlap_frames,
        num_spare_frames=_num_spare_frames(extend),
        num_kept_frames=num_kept,
        first_kept_frame=has_frames - num_kept,
        source=source,
    )


def _with_track(inputs: VideoInputs, sent: Sound | None, video: video_pb2.Video) -> VideoInputs:
    if sent is None:
        return inputs
    track = fit(sent, video.num_frames, video.spec.fps)
    if video.spec.audio_mode != video_pb2.AUDIO_MODE_JOINT:
        return replace(inputs, track=track)
    # The last latent of the sound ends after the picture: what goes on there is heard too.
    longer = fit(sent, video.num_frames + video.spec.fps, video.spec.fps)
    heard = resample(mono(longer), HEARD_SAMPLE_RATE).samples[0]
    return replace(inputs, track=track, heard=heard)


def _take(source: ClipFile, spec: video_pb2.VideoSpec, *, first: int, count: int) -> Frames:
    size = (spec.size.width, spec.size.height)
    return np.concatenate(list(source.frames(fps=spec.fps, size=size, first=first, count=count)))


def _next(chunks: Iterator[Frames]) -> Frames | None:
    return next(chunks, None)
