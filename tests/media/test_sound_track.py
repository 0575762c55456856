"""Sound in files: real encoders, decoded again. A click tells to the sample where it is."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from telecine.media.sound import Sound
from telecine.media.transcoder import EncodingOptions, Frames, Mp4Writer, Transcoder
from telecine.media.webm_writer import WebmWriter

RATE = 16_000
WRITERS = {".mp4": Mp4Writer, ".webm": WebmWriter}
either = pytest.mark.parametrize("name", ["v.mp4", "v.webm"])


def gray(num_frames: int) -> Frames:
    """Pictures that flash white once a second, as the clicks do at eight frames a second."""
    frames = np.zeros((num_frames, 32, 32, 3), np.uint8)
    frames[::8] = 255
    return frames


def clicks(moments: list[float], seconds: float, sample_rate: int = RATE) -> Sound:
    """A hard click of 2 ms at each of the moments."""
    samples: NDArray[np.float32] = np.zeros((1, round(seconds * sample_rate)), np.float32)
    for moment in moments:
        start = round(moment * sample_rate)
        samples[:, start : start + sample_rate // 500] = 0.8
    return Sound(samples, sample_rate)


def write(path: Path, frames: Frames, sound: Sound | None, fps: int = 8) -> Path:
    writer = WRITERS[path.suffix](path, EncodingOptions(fps=fps))
    writer.write(frames)
    if sound is not None:
        writer.add_sound(sound)
    writer.finish()
    return path


def opened(path: Path) -> Any:
    return av.open(str(path))


def heard(path: Path) -> Sound:
    """The file's sound as a player gives it out: up to the track's end."""
    with opened(path) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        assert frames[0].pts == 0
        samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1, dtype=np.float32)
        if stream.duration is not None:  # what is left of AAC's last packet is for the player
            samples = samples[:, : int(stream.duration * stream.time_base * stream.rate)]
        return Sound(samples, stream.rate)


def onsets(sound: Sound) -> list[float]:
    """The moments at which something begins after silence."""
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 0.2)
    starts = loud[np.diff(loud, prepend=-sound.sample_rate) > sound.sample_rate // 10]
    return [float(start) / sound.sample_rate for start in starts]


def video_packets(path: Path) -> list[tuple[bytes, Fraction]]:
    with opened(path) as container:
        return [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in container.demux(video=0)
            if packet.pts is not None
        ]


@either
@pytest.mark.parametrize("sample_rate", [8000, 16_000, 24_000, 44_100, 48_000])
def test_a_click_stays_where_it_is_within_a_millisecond(
    tmp_path: Path, name: str, sample_rate: int
) -> None:
    moments = [0.0, 0.5, 1.0, 1.75]
    path = write(tmp_path / name, gray(17), clicks(moments, 17 / 8, sample_rate))
    assert onsets(heard(path)) == pytest.approx(moments, abs=1e-3)


LENGTHS = [(17, 8), (49, 24), (1, 8), (31, 23), (48, 15)]


@either
@pytest.mark.parametrize("given_seconds", [0.5, 2.0, 7.3])
@pytest.mark.parametrize(("num_frames", "fps"), LENGTHS)
def test_sound_is_exactly_as_long_as_the_pictures(
    tmp_path: Path, name: str, given_seconds: float, num_frames: int, fps: int
) -> None:
    path = write(tmp_path / name, gray(num_frames), clicks([0.1], given_seconds), fps)
    assert heard(path).samples.shape == (1, round(Fraction(num_frames, fps) * 48_000))
    with opened(path) as container:
        # What is said of the whole file is in microseconds.
        assert container.duration == pytest.approx(1e6 * num_frames / fps, abs=22)


def test_aac_and_opus_tell_their_rate(tmp_path: Path) -> None:
    for suffix, codec in ((".mp4", "aac"), (".webm", "opus")):
        path = write(tmp_path / f"v{suffix}", gray(17), clicks([0.5], 2))
        with opened(path) as container:
            stream = container.streams.audio[0]
            assert (stream.codec_context.name, stream.rate) == (codec, 48_000)


@pytest.mark.parametrize(("num_frames", "fps"), LENGTHS)
def test_the_tracks_of_an_mp4_are_equally_long(tmp_path: Path, num_frames: int, fps: int) -> None:
    path = write(tmp_path / "v.mp4", gray(num_frames), clicks([0.1], 1), fps)
    with opened(path) as container:
        sound, pictures = container.streams.audio[0], container.streams.video[0]
        assert sound.duration == round(Fraction(num_frames, fps) * 48_000)
        assert pictures.duration * pictures.time_base == Fraction(num_frames, fps)


@either
def test_the_pictures_are_those_of_the_file_without_sound(tmp_path: Path, name: str) -> None:
    silent = write(tmp_path / f"a{name}", gray(33), None)
    sounding = write(tmp_path / f"b{name}", gray(33), clicks([1.0], 4))
    assert video_packets(sounding) == video_packets(silent)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"a{name}", f"b{name}"]


@either
def test_the_same_sound_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    first = write(tmp_path / f"a{name}", gray(33), clicks([1.0], 4))
    again = write(tmp_path / f"b{name}", gray(33), clicks([1.0], 4))
    assert first.read_bytes() == again.read_bytes()


@either
def test_two_channels_stay_apart(tmp_path: Path, name: str) -> None:
    left, right = clicks([0.5], 2), clicks([1.0], 2)
    sound = Sound(np.concatenate([left.samples, right.samples]), RATE)
    given = heard(write(tmp_path / name, gray(16), sound))
    for channel, moment in enumerate([0.5, 1.0]):
        one = Sound(given.samples[channel : channel + 1], given.sample_rate)
        assert onsets(one) == pytest.approx([moment], abs=1e-3)


def test_index_comes_before_the_data(tmp_path: Path) -> None:
    data = write(tmp_path / "v.mp4", gray(17), clicks([0.5], 2)).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@either
def test_what_is_too_loud_is_clipped(tmp_path: Path, name: str) -> None:
    loud = Sound(20 * clicks([0.5], 2).samples, RATE)
    assert np.abs(heard(write(tmp_path / name, gray(16), loud)).samples).max() < 1.5


async def test_the_transcoder_hands_sound_over_after_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    async with Transcoder(Mp4Writer(path, EncodingOptions(fps=8))) as transcoder:
        await transcoder.write(gray(16))
        await transcoder.add_sound(clicks([0.5], 2))
        await transcoder.finish()
    assert onsets(heard(path)) == pytest.approx([0.5], abs=1e-3)


@either
@pytest.mark.parametrize("fps", [8, 12, 15, 23, 24, 30])
def test_sound_does_not_drift_from_the_pictures_in_a_minute(
    tmp_path: Path, name: str, fps: int
) -> None:
    """A frame flashes and a click sounds about once a second; both are found in the file again."""
    num_frames, flashing = 60 * fps + 1, range(fps // 2, 60 * fps, fps)
    frames = np.zeros((num_frames, 32, 32, 3), np.uint8)
    frames[list(flashing)] = 255
    moments = [number / fps for number in flashing]
    path = write(tmp_path / name, frames, clicks(moments, num_frames / fps), fps)
    with opened(path) as container:
        times = [
            float(picture.pts * picture.time_base)
            for picture in container.decode(video=0)
            if picture.to_ndarray(format="gray").mean() > 128
        ]
    assert len(times) == 60
    assert onsets(heard(path)) == pytest.approx(times, abs=5e-3)
    assert onsets(heard(path)) == pytest.approx(moments, abs=1e-3)
