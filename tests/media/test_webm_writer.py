"""WebM: real files, read back."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from telecine.media.several_writers import SeveralWriters
from telecine.media.sound import Sound
from telecine.media.transcoder import EncodingOptions, Frames, FrameWriter, Mp4Writer
from telecine.media.webm_writer import WebmWriter

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]], np.uint8)


def colour_bars(num_frames: int) -> Frames:
    """Four upright bars of one colour each."""
    row = np.repeat(COLOURS, 24, axis=0)
    return np.broadcast_to(row, (num_frames, 64, *row.shape)).copy()


def noise(num_frames: int) -> Frames:
    return np.random.default_rng(0).integers(0, 255, (num_frames, 64, 64, 3), np.uint8)


def write(writer: FrameWriter, *chunks: Frames) -> None:
    for chunk in chunks:
        writer.write(chunk)
    writer.finish()


def opened(path: Path) -> Any:
    return av.open(str(path))


def test_file_is_vp9_and_holds_every_frame_in_its_colours(tmp_path: Path) -> None:
    path, frames = tmp_path / "v.webm", colour_bars(33)
    write(WebmWriter(path, EncodingOptions(fps=16)), frames[:1], *np.split(frames[1:], 8))
    with opened(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("vp9", "yuv420p")
        pictures = list(container.decode(stream))
    decoded = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures])
    assert decoded.shape == frames.shape
    assert np.abs(decoded[:, 32, 12::24].astype(int) - COLOURS).max() <= 6
    times = [float(picture.pts * picture.time_base) for picture in pictures]
    assert times == pytest.approx([number / 16 for number in range(33)], abs=1e-3)


@pytest.mark.parametrize(("num_frames", "fps"), [(33, 16), (49, 24), (31, 23), (1, 8)])
def test_file_tells_its_length_to_the_microsecond(
    tmp_path: Path, num_frames: int, fps: int
) -> None:
    path = tmp_path / "v.webm"
    write(WebmWriter(path, EncodingOptions(fps=fps)), colour_bars(num_frames))
    with opened(path) as container:
        assert container.duration == pytest.approx(1e6 * num_frames / fps, abs=1)


def test_a_key_frame_a_second_and_the_index_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "v.webm"
    write(WebmWriter(path, EncodingOptions(fps=8)), noise(17))
    with opened(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [number for number, packet in enumerate(packets) if packet.is_keyframe] == [0, 8, 16]
    data, cues, cluster = path.read_bytes(), b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75"
    # The first place where each is named is in the table of what the file holds.
    assert data.rindex(cues) < data.rindex(cluster)


def test_same_frames_give_the_same_bytes_however_they_are_cut(tmp_path: Path) -> None:
    frames = noise(17)
    write(WebmWriter(tmp_path / "a.webm", EncodingOptions(fps=16)), frames)
    write(WebmWriter(tmp_path / "b.webm", EncodingOptions(fps=16)), frames[:3], frames[3:])
    assert (tmp_path / "a.webm").read_bytes() == (tmp_path / "b.webm").read_bytes()


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="95x64"):
        WebmWriter(tmp_path / "a.webm", EncodingOptions(fps=8)).write(colour_bars(1)[:, :, :95])
    with pytest.raises(ValueError, match="at least one frame"):
        WebmWriter(tmp_path / "b.webm", EncodingOptions(fps=8)).finish()


def test_two_files_of_one_video_are_what_each_would_be_alone(tmp_path: Path) -> None:
    sound = Sound(np.sin(np.arange(32_000, dtype=np.float32))[None], 16_000)
    kinds = {"v.mp4": Mp4Writer, "v.webm": WebmWriter}
    folders = [tmp_path / "together", tmp_path / "alone"]
    for folder in folders:
        folder.mkdir()
        writers: list[FrameWriter] = [
            make(folder / name, EncodingOptions(fps=8)) for name, make in kinds.items()
        ]
        for writer in [SeveralWriters(writers)] if folder.name == "together" else writers:
            writer.write(noise(16))
            writer.add_sound(sound)
            writer.finish()
    for name in kinds:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
