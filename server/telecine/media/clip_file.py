"""Video files of strangers to pictures: at the times, and of the size, that are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation

from telecine.media.decoding_errors import reason_of
from telecine.media.mp4_samples import num_told_samples
from telecine.media.picture_file import require_no_strip
from telecine.media.transcoder import Frames

MAX_SIDE = 4096
MAX_PICTURES = 200_000
MAX_SECONDS = 3600
# Of pictures and sound: before anything is read, FFmpeg makes a table of all that a file tells of.
MAX_SAMPLES = 1_000_000
_WEBM_HEAD = b"\x1a\x45\xdf\xa3"
# Times in a file are rounded: a picture may come so much of a frame later than it should.
_TOLERANCE = Fraction(1, 4)
# A file is sought in the order of decoding, which is not quite that of the pictures.
_SEEK_MARGIN_SECONDS = 1
_CHUNK_FRAMES = 8
_NUM_THREADS = 2


class ClipFile:
    """A video file, its times read; pictures are decoded when they are asked for. Blocking.

    Raises:
        ValueError: it is no video that can be decoded, or beyond the limits.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as (container, stream):
            _require_usual_size(stream.codec_context.width, stream.codec_context.height)
            self._times = _read_times(container, stream)

    def num_frames_at(self, fps: int) -> int:
        """Returns how many frames it has at a frame rate, at least one."""
        times = self._times
        last_seconds = (times[-1] - times[-2]) if len(times) > 1 else Fraction(1, fps)
        seconds = times[-1] - times[0] + last_seconds
        return max(1, int(seconds * fps + _TOLERANCE))

    def frames(
        self, *, fps: int, size: tuple[int, int], first: int, count: int
    ) -> Iterator[Frames]:
        """Yields frames at a rate, in chunks [n, H, W, 3]: those from `first` on, `count` of them.

        Each is the picture that is shown at its time, scaled to cover `size` (width, height) and
        cropped around its middle. No more of the file is decoded than that needs.

        Raises:
            ValueError: the file ends before them, cannot be decoded, or goes beyond the limits.
        """
        chunk: list[Frames] = []
        for picture, repeats in self._pictures(fps=fps, first=first, count=count):
            chunk += [_fit(picture, size)] * repeats
            while len(chunk) >= _CHUNK_FRAMES:
                yield np.stack(chunk[:_CHUNK_FRAMES])
                chunk = chunk[_CHUNK_FRAMES:]
        if chunk:
            yield np.stack(chunk)

    def _pictures(self, *, fps: int, first: int, count: int) -> Iterator[tuple[Any, int]]:
        """Yields the pictures that are shown, each with for how many of the frames it is."""
        end, index = first + count, first
        shown: Any = None
        with self._open() as (container, stream):
            try:
                self._seek(container, stream, Fraction(first, fps))
                for picture in container.decode(stream):
                    # Each, since a file may go on with pictures of another size.
                    _require_usual_size(picture.width, picture.height)
                    # Frames before this picture's time show the one before.
                    until = min(end, self._frame_of(_time(picture, stream), fps))
                    if shown is not None and until > index:
                        yield shown, until - index
                        index = until
                    if index == end:
                        return
                    shown = picture
            except av.FFmpegError as error:
                raise ValueError(f"not a video that can be decoded: {reason_of(error)}") from error
        missing = end - min(end, self.num_frames_at(fps))
        if shown is None or missing > 0:
            raise ValueError(f"it has {self.num_frames_at(fps)} frames at {fps} fps, not {end}")
        yield shown, end - index

    def _seek(self, container: Any, stream: Any, seconds: Fraction) -> None:
        """Go to a picture before that time from which others can be decoded."""
        time = self._times[0] + seconds - _SEEK_MARGIN_SECONDS
        if time > self._times[0]:
            container.seek(int(time / stream.time_base), stream=stream)

    def _frame_of(self, time: Fraction, fps: int) -> int:
        """The first frame that shows a picture of that time."""
        position = (time - self._times[0]) * fps - _TOLERANCE
        return max(0, -(-position.numerator // position.denominator))

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        with self._path.open("rb") as file:
            head = file.read(len(_WEBM_HEAD))
        is_webm = head == _WEBM_HEAD
        if not is_webm and num_told_samples(self._path) > MAX_SAMPLES:
            raise ValueError(f"it tells of more than {MAX_SAMPLES} samples")
        try:
            # Of the two kinds alone: others may point to files elsewhere.
            container: Any = av.open(
                str(self._path),
                format="matroska" if is_webm else "mp4",
                options={"protocol_whitelist": "file"},
            )
        except av.FFmpegError as error:
            raise ValueError(f"not a video that can be decoded: {reason_of(error)}") from error
        with container:
            if not container.streams.video:
                raise ValueError("it has no pictures")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ValueError("not a video that can be decoded: its codec is unknown")
            stream.codec_context.thread_count = _NUM_THREADS
            # A decoder takes memory for several pictures before one of them is seen here.
            stream.codec_context.options = {"max_pixels": str(MAX_SIDE**2)}
            yield container, stream


def _require_usual_size(width: int, height: int) -> None:
    """Raises ValueError for pictures that are too large, or a strip."""
    if not 1 <= min(width, height) <= max(width, height) <= MAX_SIDE:
        raise ValueError(f"{width}x{height} is not from 1 to {MAX_SIDE} pixels a side")
    require_no_strip(width, height)


def _read_times(container: Any, stream: Any) -> list[Fraction]:
    """The times of all pictures in order, in seconds, without decoding any."""
    times: list[Fraction] = []
    try:
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            times.append(packet.pts * packet.time_base)
            if len(times) > MAX_PICTURES:
                raise ValueError(f"it has more than {MAX_PICTURES} pictures")
    except av.FFmpegError as error:
        raise ValueError(f"not a video that can be decoded: {reason_of(error)}") from error
    if not times:
        raise ValueError("it has no pictures")
    times.sort()
    if times[-1] - times[0] > MAX_SECONDS:
        raise ValueError(f"it is longer than {MAX_SECONDS} s")
    return times


def _time(picture: Any, stream: Any) -> Fraction:
    if picture.pts is None:
        raise ValueError("a picture without a time")
    time: Fraction = picture.pts * (picture.time_base or stream.time_base)
    return time


def _fit(picture: Any, size: tuple[int, int]) -> Frames:
    """The picture as RGB [H, W, 3], upright, covering `size` and cropped around the middle."""
    turned = picture.rotation % 180 == 90
    width, height = size[::-1] if turned else size
    scale = max(width / picture.width, height / picture.height)
    covering = (
        max(width, int(picture.width * scale + 0.5)),
        max(height, int(picture.height * scale + 0.5)),
    )
    pixels: Frames = picture.reformat(
        *covering,
        format="rgb24",
        # Repeated pixels (`upscale`) average to themselves.
        interpolation=Interpolation.AREA if scale < 1 else Interpolation.BICUBIC,
    ).to_ndarray()
    top, left = (covering[1] - height) // 2, (covering[0] - width) // 2
    cropped = pixels[top : top + height, left : left + width]
    return np.ascontiguousarray(np.rot90(cropped, picture.rotation // 90))
