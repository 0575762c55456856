"""Sound files of strangers to samples, within limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from telecine.media.decoding_errors import reason_of
from telecine.media.mp4_samples import num_told_samples
from telecine.media.sound import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Samples, Sound

# What a file that will be muxed has in the end: more would be kept for nothing.
_KEPT_SAMPLE_RATE = 48_000
_HEAD_BYTES = 12
_PCM = ("alaw", "f32le", "f64le", "mulaw", "s16le", "s24le", "s32le", "u8")
_CODECS = {
    "wav": frozenset(f"pcm_{name}" for name in _PCM),
    "mp3": frozenset({"mp3", "mp3float"}),
    "aac": frozenset({"aac"}),
    "mp4": frozenset({"aac"}),
    "ogg": frozenset({"opus", "vorbis", "flac"}),
    "flac": frozenset({"flac"}),
}
# An AAC frame is 1,024 samples; other codecs are not taken in MP4.
_MIN_SAMPLES_OF_PACKET = 960


@dataclass(frozen=True)
class TrackLimits:
    """What is taken of a track."""

    max_bytes: int = 32 << 20
    max_seconds: int = 600
    max_channels: int = 8


class TrackError(ValueError):
    """A track that cannot be decoded, or is beyond the limits. The message says what is wrong."""


def read_track(path: Path, limits: TrackLimits | None = None) -> Sound:
    """Decodes a WAV, MP3, AAC (bare or in MP4), Ogg (Opus, Vorbis, FLAC) or FLAC file.

    No more is decoded than the limits allow, whatever the file says of its length.

    Returns:
        One channel, or two of what has more, at the file's own rate up to 48 kHz.

    Raises:
        TrackError: it is none of these, is broken, or is beyond the limits.
    """
    limits = limits or TrackLimits()
    size_bytes = path.stat().st_size
    if size_bytes > limits.max_bytes:
        raise TrackError(f"it has {size_bytes} bytes, more than {limits.max_bytes}")
    try:
        return _read(path, limits)
    except TrackError:
        raise
    except (av.FFmpegError, ValueError, MemoryError, OverflowError, EOFError) as error:
        raise TrackError(f"not a track that can be decoded: {reason_of(error)}") from error


def _read(path: Path, limits: TrackLimits) -> Sound:
    container_format = _format_of(path, limits)
    container: Any = av.open(
        str(path),
        format=container_format,
        options={
            "protocol_whitelist": "file",
            # Nor is a cover picture decoded.
            "codec_whitelist": ",".join(sorted(_CODECS[container_format])),
        },
    )
    with container:
        if not container.streams.audio:
            raise TrackError("it has no sound")
        stream = container.streams.audio[0]
        _check_stream(stream, container_format, limits)
        sample_rate = min(stream.codec_context.sample_rate, _KEPT_SAMPLE_RATE)
        pieces = list(_decode(container, stream, sample_rate, limits))
        if not pieces:
            raise TrackError("not a track that can be decoded: it has no samples")
        samples = np.concatenate(pieces, axis=1, dtype=np.float32)
        if container_format == "mp4" and stream.duration:
            # The last packet is filled up; the file says where its sound ends.
            samples = samples[:, : round(stream.duration * stream.time_base * sample_rate)]
    # Floating-point files may hold anything.
    np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    return Sound(np.clip(samples, -1, 1, out=samples), sample_rate)


def _format_of(path: Path, limits: TrackLimits) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] in {b"fLaC", b"OggS"}:
        return {b"fLaC": "flac", b"OggS": "ogg"}[head[:4]]
    if head[4:8] == b"ftyp":
        # FFmpeg makes a table of as many entries as the file says, before anything is decoded.
        most = limits.max_seconds * MAX_SAMPLE_RATE // _MIN_SAMPLES_OF_PACKET
        if num_told_samples(path) > most:
            raise TrackError(f"it is longer than {limits.max_seconds} s")
        return "mp4"
    has_sync = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    if head[:3] == b"ID3" or (has_sync and head[1] & 0x06):
        return "mp3"
    if has_sync and head[1] & 0xF0 == 0xF0:
        return "aac"
    raise TrackError("it is none of WAV, MP3, AAC, M4A, Ogg and FLAC")


def _check_stream(stream: Any, container_format: str, limits: TrackLimits) -> None:
    codec = stream.codec_context
    if codec is None or codec.name not in _CODECS[container_format]:
        name = "unknown" if codec is None else codec.name
        raise TrackError(f"its codec, {name}, is not taken in {container_format}")
    if not codec.sample_rate or not codec.channels:
        raise TrackError("not a track that can be decoded: its rate is unknown")
    if not MIN_SAMPLE_RATE <= codec.sample_rate <= MAX_SAMPLE_RATE:
        raise TrackError(
            f"{codec.sample_rate} samples a second are not from {MIN_SAMPLE_RATE} to "
            f"{MAX_SAMPLE_RATE}"
        )
    if codec.channels > limits.max_channels:
        raise TrackError(f"{codec.channels} channels are more than {limits.max_channels}")
    codec.thread_count = 1


def _decode(
    container: Any, stream: Any, sample_rate: int, limits: TrackLimits
) -> Iterator[Samples]:
    channels = stream.codec_context.channels
    layout = "mono" if channels == 1 else "stereo"
    # Where it mixes, FFmpeg keeps integers within their range, floating-point numbers not.
    sample_format, scale = ("fltp", 1.0) if channels <= 2 else ("s32p", 2.0**-31)
    resampler = av.AudioResampler(format=sample_format, layout=layout, rate=sample_rate)
    num_samples = 0
    for frame in _frames(container, stream):
        for piece in resampler.resample(frame):
            num_samples += piece.samples
            if num_samples > limits.max_seconds * sample_rate:
                raise TrackError(f"it is longer than {limits.max_seconds} s")
            yield np.multiply(piece.to_ndarray(), scale, dtype=np.float32)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yields the decoded frames, and None at the end, for what the resampler still holds."""
    yield from container.decode(stream)
    yield None
