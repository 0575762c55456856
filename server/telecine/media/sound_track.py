"""Adds a sound track to a file of pictures that is otherwise finished."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from telecine.media.sound import Sound, fit, layout_of, resample, to_audio_frame

TRACK_SAMPLE_RATE = 48_000
_BITS_PER_SECOND = {1: 96_000, 2: 160_000}  # by channels
_PIECE_SAMPLES = TRACK_SAMPLE_RATE


@dataclass(frozen=True)
class TrackKind:
    """How sound is encoded, and the container that it goes into.

    Attributes:
        codec: FFmpeg's name of the encoder.
        sample_format: how that takes its samples.
        container: FFmpeg's name of the container.
        container_options: of the finished file.
    """

    codec: str
    sample_format: str
    container: str
    container_options: Mapping[str, str]


def add_sound_track(
    path: Path, sound: Sound, *, num_frames: int, fps: int, kind: TrackKind
) -> None:
    """Puts `sound`, made as long as the pictures, into the file; the pictures' data stays.

    Which file has sound is known only at its end, and without any the file must be what it was:
    so the pictures are copied, not encoded, once more.
    """
    fitted = fit(resample(fit(sound, num_frames, fps), TRACK_SAMPLE_RATE), num_frames, fps)
    target = path.with_name(f"{path.name}.sound")
    with (
        av.open(str(path)) as source,
        av.open(
            str(target), "w", format=kind.container, options=dict(kind.container_options)
        ) as container,
    ):
        pictures = container.add_stream_from_template(source.streams.video[0])
        track: Any = container.add_stream(
            kind.codec, rate=TRACK_SAMPLE_RATE, layout=layout_of(fitted)
        )
        track.codec_context.format = kind.sample_format
        track.bit_rate = _BITS_PER_SECOND[fitted.num_channels]
        container.start_encoding()
        packets = heapq.merge(
            _copied_packets(source, pictures), _encoded_packets(fitted, track), key=_time
        )
        for packet in packets:
            container.mux(packet)
    target.replace(path)


def _copied_packets(source: Any, stream: Any) -> Iterator[Any]:
    for packet in source.demux(video=0):
        if packet.dts is not None:
            packet.stream = stream
            yield packet


def _encoded_packets(sound: Sound, stream: Any) -> Iterator[Any]:
    clipped = Sound(np.clip(sound.samples, -1, 1), sound.sample_rate)
    end = clipped.samples.shape[1]
    for start in range(0, end, _PIECE_SAMPLES):
        yield from stream.encode(to_audio_frame(clipped, start, min(end, start + _PIECE_SAMPLES)))
    yield from stream.encode(None)


def _time(packet: Any) -> Fraction:
    time: Fraction = packet.dts * packet.time_base
    return time
