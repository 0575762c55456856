"""Frames to an MP4 file, while the frames are still being made."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from telecine.media.sound import Sound
from telecine.media.sound_track import TRACK_SAMPLE_RATE, TrackKind, add_sound_track

Frames = NDArray[np.uint8]
"""Pictures [n, H, W, 3], RGB, 0 to 255."""

# The file's bytes depend on the number of threads, so it does not follow the machine.
NUM_THREADS = 2
# Chunks that may wait for the encoder: memory stays flat however long the video is.
MAX_WAITING_CHUNKS = 2

_INDEX_FIRST = {"movflags": "+faststart"}
_AAC_IN_MP4 = TrackKind(
    codec="aac",
    sample_format="fltp",
    container="mp4",
    # Lengths are told in this unit, whose default is a millisecond.
    container_options=_INDEX_FIRST | {"movie_timescale": str(TRACK_SAMPLE_RATE)},
)


@dataclass(frozen=True)
class EncodingOptions:
    """How frames become a file; `upscale` repeats every pixel that many times each way."""

    fps: int
    upscale: int = 1
    crf: int = 18
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        if self.fps < 1:
            raise ValueError(f"fps: {self.fps} is less than 1")
        if self.upscale < 1:
            raise ValueError(f"upscale: {self.upscale} is less than 1")


class FrameWriter(Protocol):
    """Makes a file of frames; blocking, and used by one thread at a time."""

    def write(self, frames: Frames) -> None:
        """Encodes `frames` [n, H, W, 3] uint8; raises ValueError where they do not fit."""
        ...

    def add_sound(self, sound: Sound) -> None:
        """Takes the sound of the whole video, before `finish`; ValueError where none is written."""
        ...

    def finish(self) -> None:
        """Completes the file; raises ValueError where there was no frame."""
        ...

    def abandon(self) -> None:
        """Closes an unfinished file."""
        ...


class FileWriter:
    """Writes a file frame by frame; the same frames, sound and options give the same bytes.

    Blocking: see Transcoder. A FrameWriter.

    Args:
        path: the file.
        options: rate, upscale and quality.
        codec: FFmpeg's name of the pictures' encoder.
        codec_options: what that is told.
        container_options: those of a file without sound.
        track: the container, and how sound goes into it.
    """

    def __init__(
        self,
        path: Path,
        options: EncodingOptions,
        *,
        codec: str,
        codec_options: dict[str, str],
        container_options: dict[str, str],
        track: TrackKind,
    ) -> None:
        self._path = path
        self._options = options
        self._track = track
        self._shape: tuple[int, ...] | None = None
        self._num_frames = 0
        self._sound: Sound | None = None
        self._container = av.open(str(path), "w", format=track.container, options=container_options)
        self._stream: Any = self._container.add_stream(
            codec, rate=options.fps, options=codec_options
        )

    def write(self, frames: Frames) -> None:
        """Encodes `frames` [n, H, W, 3] uint8.

        Raises:
            ValueError: the size is odd, or differs from the first frames' size.
        """
        if self._shape is None:
            self._open_codec(frames)
        elif frames.shape[1:] != self._shape:
            raise ValueError(f"frames are {frames.shape[1:]}, the first were {self._shape}")
        for frame in frames:
            picture = to_picture(frame, upscale=self._options.upscale)
            self._container.mux(self._stream.encode(picture))
        self._num_frames += len(frames)

    def add_sound(self, sound: Sound) -> None:
        """Takes the sound of the whole video, which is made as long as its frames."""
        self._sound = sound

    def finish(self) -> None:
        """Writes what the encoder still holds, and the sound."""
        if self._shape is None:
            raise ValueError("a video needs at least one frame")
        self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._sound is not None:
            add_sound_track(
                self._path,
                self._sound,
                num_frames=self._num_frames,
                fps=self._options.fps,
                kind=self._track,
            )

    def abandon(self) -> None:
        """Closes an unfinished file; what is on disk is of no use."""
        if self._shape is not None:
            with suppress(av.FFmpegError):
                self._container.close()

    def _open_codec(self, frames: Frames) -> None:
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            shape = f"{frames.shape} {frames.dtype}"
            raise ValueError(f"frames must be [n, H, W, 3] uint8, not {shape}")
        height, width = frames.shape[1:3]
        set_picture_format(self._stream, self._options, width=width, height=height)
        self._stream.codec_context.thread_count = NUM_THREADS
        self._shape = frames.shape[1:]


class Mp4Writer(FileWriter):
    """Writes H.264, yuv420p, and AAC where there is sound, in an MP4 whose index comes first."""

    def __init__(self, path: Path, options: EncodingOptions) -> None:
        super().__init__(
            path,
            options,
            codec="libx264",
            # With mbtree x264 reads what earlier videos left in its memory: of 64x64 ones in turn
            # one in a hundred had other bytes.
            codec_options={"crf": str(options.crf), "preset": options.preset, "mbtree": "0"},
            container_options=_INDEX_FIRST,
            track=_AAC_IN_MP4,
        )


def set_picture_format(
    stream: av.VideoStream, options: EncodingOptions, *, width: int, height: int
) -> None:
    """Says what pictures a stream is of, made from frames of that size.

    Raises:
        ValueError: the pictures' size is odd.
    """
    width, height = width * options.upscale, height * options.upscale
    if height % 2 or width % 2:
        raise ValueError(f"yuv420p needs an even width and height, not {width}x{height}")
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    # A key frame a second, so that players can seek.
    stream.gop_size = options.fps
    codec = stream.codec_context
    # Untagged files are read as BT.601 or BT.709 as the player likes.
    codec.colorspace = Colorspace.ITU709
    codec.color_primaries = ColorPrimaries.BT709
    codec.color_trc = ColorTrc.BT709
    codec.color_range = ColorRange.MPEG


def to_picture(frame: Frames, *, upscale: int) -> av.VideoFrame:
    """Returns a frame [H, W, 3] uint8 as the encoder takes it."""
    if upscale > 1:
        frame = frame.repeat(upscale, axis=0).repeat(upscale, axis=1)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return picture.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


class Transcoder:
    """Encodes in its own thread, so that whoever makes the frames never waits for long.

    Use it as an async context: leaving it without `finish` abandons the file.
    """

    def __init__(self, writer: FrameWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="transcoder")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._has_failed = False
        self._is_finished = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._is_finished:
            await asyncio.shield(self._abandon())
        self._thread.shutdown(wait=False)

    async def write(self, frames: Frames) -> None:
        """Hands `frames` [n, H, W, 3] uint8 over; waits only while the encoder is far behind.

        Raises:
            ValueError: earlier frames could not be encoded, see FrameWriter.write.
        """
        while len(self._waiting) >= MAX_WAITING_CHUNKS:
            await self._waiting.popleft()
        self._waiting.append(self._in_thread(partial(self._write, frames)))

    async def add_sound(self, sound: Sound) -> None:
        """Hands over the sound of the whole video; it is made as long as the frames are."""
        await self._in_thread(partial(self._writer.add_sound, sound))

    async def finish(self) -> None:
        """Waits until the file is whole."""
        while self._waiting:
            await self._waiting.popleft()
        await self._in_thread(self._writer.finish)
        self._is_finished = True

    def _write(self, frames: Frames) -> None:
        # PyAV ends the process at a packet for a file whose header found no room.
        if self._has_failed:
            return
        try:
            self._writer.write(frames)
        except BaseException:
            self._has_failed = True
            raise

    async def _abandon(self) -> None:
        await asyncio.gather(*self._waiting, return_exceptions=True)
        await self._in_thread(self._writer.abandon)

    def _in_thread(self, call: Callable[[], None]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call)
