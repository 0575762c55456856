"""Tracks of strangers: every kind, every limit, and broken files, which are errors and no more."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from track_files import KINDS, write_track

from telecine.media.track_file import TrackError, TrackLimits, read_track
from telecine.media.transcoder import EncodingOptions, Mp4Writer

RATE = 48_000
# What an encoder's own delay moves in a file that cannot tell of it: 1,024 samples of AAC.
DELAY_SECONDS = {"aac": 1024 / RATE}
HEADS = [
    b"",
    b"RIFF\x24\0\0\0WAVEfmt ",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02",
    b"ID3\x03\0\0",
    b"\xff\xfb\x90",
    b"\xff\xf1\x50\x80",
    b"\0\0\0\x10ftypM4A \0\0\0\0",
]
# Reads a file and prints by how many MiB the process grew.
MEASURE = """
import resource, sys
from pathlib import Path
from telecine.media.track_file import TrackError, read_track
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
try:
    read_track(Path(sys.argv[1]))
except TrackError as error:
    print(peak() - before, error)
"""


def click(seconds: float = 1.0, sample_rate: int = RATE) -> NDArray[np.float32]:
    """Silence with 20 ms of a tone in its middle."""
    samples: NDArray[np.float32] = np.zeros((1, round(seconds * sample_rate)), np.float32)
    start, length = samples.shape[1] // 2, sample_rate // 50
    tone = np.sin(2 * np.pi * 1000 * np.arange(length) / sample_rate)
    samples[0, start : start + length] = 0.7 * tone
    return samples


def onset_seconds(samples: NDArray[np.float32], sample_rate: int) -> float:
    return float(np.flatnonzero(np.abs(samples) > 0.2)[0]) / sample_rate


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_its_samples_at_their_time(tmp_path: Path, kind: str) -> None:
    sound = read_track(write_track(tmp_path / "track", click(), RATE, kind))
    assert (sound.sample_rate, sound.num_channels) == (RATE, 1)
    delay = DELAY_SECONDS.get(kind, 0.0)
    assert sound.seconds == pytest.approx(1.0 + delay, abs=delay and 0.025)
    assert onset_seconds(sound.samples[0], RATE) == pytest.approx(0.5 + delay, abs=1e-3)
    assert 0.6 < np.abs(sound.samples).max() < 0.85


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 44_100, 96_000, 192_000])
def test_the_rate_is_the_files_own_up_to_48_kilohertz(tmp_path: Path, sample_rate: int) -> None:
    path = write_track(tmp_path / "track", click(sample_rate=sample_rate), sample_rate, "wav")
    sound = read_track(path)
    assert sound.sample_rate == min(sample_rate, RATE)
    assert sound.seconds == pytest.approx(1.0, abs=1e-3)
    assert onset_seconds(sound.samples[0], sound.sample_rate) == pytest.approx(0.5, abs=1e-3)


def test_two_channels_stay_two(tmp_path: Path) -> None:
    samples = np.concatenate([click(), 0 * click()])
    sound = read_track(write_track(tmp_path / "track", samples, RATE, "wav"))
    assert np.abs(sound.samples - samples).max() < 1e-3


@pytest.mark.parametrize(("layout", "num_channels"), [("2.1", 3), ("5.1", 6), ("7.1", 8)])
def test_more_channels_become_two(tmp_path: Path, layout: str, num_channels: int) -> None:
    samples = np.repeat(click(), num_channels, axis=0)
    samples[1] = 0  # the right one
    sound = read_track(write_track(tmp_path / "track", samples, RATE, "wav", layout=layout))
    left, right = np.abs(sound.samples).max(axis=1)
    assert left > right
    assert left > 0.2


def test_more_than_eight_channels_are_refused(tmp_path: Path) -> None:
    samples = np.repeat(click(), 16, axis=0)
    path = write_track(tmp_path / "track", samples, RATE, "wav", layout="hexadecagonal")
    with pytest.raises(TrackError, match="16 channels are more than 8"):
        read_track(path)


def test_samples_beyond_full_scale_are_clipped_and_what_is_no_number_is_silence(
    tmp_path: Path,
) -> None:
    samples = 4 * click()
    samples[0, :100] = np.nan
    samples[0, 100:200] = np.inf
    sound = read_track(write_track(tmp_path / "track", samples, RATE, "float.wav"))
    assert not sound.samples[0, :100].any()
    assert np.abs(sound.samples).max() == 1.0


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "track"
    with path.open("wb") as file:
        file.truncate((32 << 20) + 1)
    with pytest.raises(TrackError, match="it has 33554433 bytes, more than 33554432"):
        read_track(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_track_is_refused(tmp_path: Path, kind: str) -> None:
    path = write_track(tmp_path / "track", np.repeat(click(), 3, axis=1), RATE, kind)
    assert read_track(path, TrackLimits(max_seconds=4)).seconds == pytest.approx(3, abs=0.05)
    with pytest.raises(TrackError, match="it is longer than 2 s"):
        read_track(path, TrackLimits(max_seconds=2))


def measure_refusal(path: Path) -> tuple[int, str]:
    """Reads a file in a process of its own; returns by how many MiB that grew, and the error."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    growth, _, error = output.partition(" ")
    return int(growth), error.strip()


def test_hours_of_silence_in_a_small_file_are_decoded_no_further_than_the_limit(
    tmp_path: Path,
) -> None:
    hour = np.zeros((1, 3600 * 8000), np.float32)
    path = write_track(tmp_path / "track", hour, 8000, "flac")
    assert path.stat().st_size < 700_000
    growth, error = measure_refusal(path)
    assert error == "it is longer than 600 s"
    assert growth < 100  # 600 s are 18 MiB of samples, kept and put together


def test_a_few_bytes_that_tell_of_many_packets_are_refused_before_a_table_is_made(
    tmp_path: Path,
) -> None:
    path = write_track(tmp_path / "track", click(), RATE, "m4a")
    data = bytearray(path.read_bytes())
    sizes, chunks = data.index(b"stsz"), data.index(b"stsc")
    data[sizes + 8 : sizes + 16] = struct.pack(">II", 1, 60_000_000)
    data[chunks + 8 : chunks + 24] = struct.pack(">IIII", 1, 1, 60_000_000, 1)
    path.write_bytes(data)
    growth, error = measure_refusal(path)
    assert error == "it is longer than 600 s"
    assert growth < 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is none of WAV, MP3, AAC, M4A, Ogg and FLAC"),
        (b"no sound at all, but text", "it is none of"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "it is none of"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not a track that can be decoded"),
        (b"fLaC" + bytes(100), "not a track that can be decoded"),
        (b"OggS" + bytes(100), "not a track that can be decoded"),
        (b"ID3\x04\0\0\0\0\0\0" + bytes(1000), "not a track that can be decoded"),
        (b"\xff\xf1" + bytes(1000), "not a track that can be decoded"),
        (b"\0\0\0\x10ftypM4A \0\0\0\0", "not a track that can be decoded"),
    ],
)
def test_what_is_no_track_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "track"
    path.write_bytes(data)
    with pytest.raises(TrackError, match=message) as refusal:
        read_track(path)
    assert str(tmp_path) not in str(refusal.value)


def test_pictures_alone_are_no_track(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "track", EncodingOptions(fps=8))
    writer.write(np.zeros((8, 32, 32, 3), np.uint8))
    writer.finish()
    with pytest.raises(TrackError, match="it has no sound"):
        read_track(tmp_path / "track")


def test_a_codec_that_a_container_may_not_hold_is_named(tmp_path: Path) -> None:
    path = write_track(tmp_path / "track", click(), RATE, "wav")
    data = bytearray(path.read_bytes())
    place = data.index(b"fmt ") + 8
    data[place : place + 2] = struct.pack("<H", 0x0002)  # ADPCM
    path.write_bytes(data)
    with pytest.raises(TrackError, match="its codec, adpcm_ms, is not taken in wav"):
        read_track(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_early_is_shorter_or_an_error(tmp_path: Path, kind: str) -> None:
    path = write_track(tmp_path / "track", click(), RATE, kind)
    data = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        try:
            assert read_track(path).seconds <= 1.05
        except TrackError:
            continue


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("tracks")
    return {kind: write_track(folder / kind, click(0.2), RATE, kind).read_bytes() for kind in KINDS}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=12),
    reach_bytes=st.sampled_from([512, 1 << 20]),
)
def test_changed_bytes_give_a_sound_or_the_documented_error(
    files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    flips: list[tuple[float, int]],
    reach_bytes: int,
) -> None:
    data = bytearray(files[kind])
    reach = min(len(data), reach_bytes)
    for place, mask in flips:
        data[min(reach - 1, int(place * reach))] ^= mask
    _read_or_refuse(bytes(data), tmp_path_factory)


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from(HEADS),
    rest=st.binary(max_size=2000),
)
def test_any_bytes_give_a_sound_or_the_documented_error(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes
) -> None:
    _read_or_refuse(head + rest, tmp_path_factory)


def _read_or_refuse(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(data)
    try:
        sound = read_track(path)
    except TrackError:
        return
    assert sound.num_channels in {1, 2}
    assert np.abs(sound.samples).max(initial=0) <= 1
