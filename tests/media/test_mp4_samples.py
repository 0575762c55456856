"""How many samples an MP4 tells of, wherever it does."""

import struct
from pathlib import Path

import numpy as np
import pytest

from telecine.media.live_transcoder import LiveWriter
from telecine.media.mp4_samples import num_told_samples
from telecine.media.sound import Sound
from telecine.media.transcoder import EncodingOptions, Mp4Writer

FRAMES = np.zeros((16, 32, 32, 3), np.uint8)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def told(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return num_told_samples(path)


def test_pictures_and_packets_of_sound_are_counted(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "v.mp4", EncodingOptions(fps=8))
    writer.write(FRAMES)
    writer.add_sound(Sound(np.zeros((1, 96_000), np.float32), 48_000))
    writer.finish()
    assert num_told_samples(tmp_path / "v.mp4") == 16 + 95  # and what AAC begins with


def test_runs_of_fragments_are_counted(tmp_path: Path) -> None:
    writer = LiveWriter(
        tmp_path / "v.mp4", EncodingOptions(fps=8), size=(32, 32), on_piece=lambda _: None
    )
    for chunk in np.split(FRAMES, 4):
        writer.write(chunk)
    writer.finish()
    assert num_told_samples(tmp_path / "v.mp4") == 16


SIZES = box(b"stsz", struct.pack(">III", 0, 1, 5000))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (SIZES, 5000),
        (box(b"moov", box(b"none", SIZES)), 5000),
        (box(b"mdat", SIZES), 0),
        (box(b"mdat", SIZES) + SIZES, 5000),
        (struct.pack(">I4sQ", 1, b"mdat", 16 + len(SIZES)) + SIZES + SIZES, 5000),
        (SIZES + struct.pack(">I4s", 0, b"mdat") + SIZES, 5000),
        # Media that is told to be shorter than its own head is none.
        (struct.pack(">I4sQ", 1, b"mdat", 2) + SIZES, 5000),
        (box(b"moov", box(b"cmov", b"")), 1 << 32),
        # Nothing is hidden by a name right before it, nor by media right behind it.
        (box(b"free", b"stsz") + SIZES, 5000),
        (box(b"free", b"trun" + bytes(3)) + SIZES, (len(SIZES) << 8) + ord("s") + 5000),
        (struct.pack(">I4sII", 16, b"stsz", 0, 1) + box(b"mdat", bytes(4992)), 5000),
    ],
)
def test_whatever_is_not_media_is_searched(tmp_path: Path, data: bytes, expected: int) -> None:
    assert told(tmp_path / "file", data) == expected
