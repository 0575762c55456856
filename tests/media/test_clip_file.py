"""Video files as people have them: of any rate, size and turn, broken, too large."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from telecine.media import clip_file
from telecine.media.clip_file import ClipFile
from telecine.media.picture_file import MAX_ASPECT
from telecine.media.transcoder import EncodingOptions, Frames, Mp4Writer

FPS, NUM_FRAMES, SIDE = 8, 24, 32


def gray_levels(num_frames: int = NUM_FRAMES, *, height: int = SIDE, width: int = SIDE) -> Frames:
    """Frame k is of gray level 10 k, so that a decoded frame tells its number."""
    levels = np.arange(num_frames, dtype=np.uint8)[:, None, None, None] * 10
    return np.broadcast_to(levels, (num_frames, height, width, 3)).copy()


def write_mp4(path: Path, frames: Frames, *, upscale: int = 1) -> Path:
    writer = Mp4Writer(path, EncodingOptions(fps=FPS, upscale=upscale))
    writer.write(frames)
    writer.finish()
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_mp4(tmp_path / "video.mp4", gray_levels())


def read(clip: ClipFile, *, fps: int = FPS, first: int = 0, count: int = NUM_FRAMES) -> Frames:
    return np.concatenate(list(clip.frames(fps=fps, size=(SIDE, SIDE), first=first, count=count)))


def numbers(frames: Frames) -> list[int]:
    return [round(float(frame.mean()) / 10) for frame in frames]


def test_all_frames_come_in_order(video: Path) -> None:
    clip = ClipFile(video)
    assert clip.num_frames_at(FPS) == NUM_FRAMES
    frames = read(clip)
    assert frames.shape == (NUM_FRAMES, SIDE, SIDE, 3)
    assert numbers(frames) == list(range(NUM_FRAMES))


@pytest.mark.parametrize(
    ("fps", "expected"),
    [(4, range(0, 24, 2)), (16, [k // 2 for k in range(48)]), (6, [0, 1, 3, 4, 5, 7, 8, 9, 11])],
)
def test_at_another_rate_each_frame_is_what_is_shown_then(
    video: Path, fps: int, expected: list[int]
) -> None:
    expected = list(expected)
    clip = ClipFile(video)
    assert clip.num_frames_at(fps) == NUM_FRAMES * fps // FPS
    assert numbers(read(clip, fps=fps, count=len(expected))) == expected


@pytest.mark.parametrize("first", [0, 1, 7, 9, 17, 23])
def test_frames_from_the_middle_are_the_same_as_from_the_beginning(video: Path, first: int) -> None:
    clip = ClipFile(video)
    assert (read(clip, first=first, count=NUM_FRAMES - first) == read(clip)[first:]).all()


def test_only_what_is_needed_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mp4(tmp_path / "long.mp4", gray_levels(200) % 250)
    decoded, time_of = [], clip_file._time

    def count_and_tell(picture: object, stream: object) -> Fraction:
        decoded.append(picture)
        return time_of(picture, stream)

    clip = ClipFile(path)
    monkeypatch.setattr(clip_file, "_time", count_and_tell)
    read(clip, first=160, count=2)
    # It goes to a key frame, of which there is one a second, and then no further than needed.
    assert len(decoded) < 4 * FPS


def test_repeated_pixels_become_one_again(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frames = np.repeat(generator.integers(60, 200, (3, 8, 8, 1), np.uint8), 3, axis=3)
    frames = frames.repeat(4, axis=1).repeat(4, axis=2)
    path = write_mp4(tmp_path / "large.mp4", frames, upscale=4)
    assert np.abs(read(ClipFile(path), count=3).astype(int) - frames).mean() < 4


def test_a_wide_picture_is_cropped_around_its_middle(tmp_path: Path) -> None:
    frames = np.zeros((2, 32, 96, 3), np.uint8)
    frames[:, :, 32:64] = 200
    path = write_mp4(tmp_path / "wide.mp4", frames)
    assert np.abs(read(ClipFile(path), count=2).astype(int) - 200).mean() < 4


def test_what_is_turned_is_shown_upright(tmp_path: Path) -> None:
    frames = np.zeros((2, 32, 64, 3), np.uint8)
    frames[:, :, :32] = 200  # bright on the left
    turned = tmp_path / "turned.mp4"
    with (
        av.open(str(write_mp4(tmp_path / "flat.mp4", frames))) as source,
        av.open(str(turned), "w", format="mp4") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    shown = next(ClipFile(turned).frames(fps=FPS, size=(32, 64), first=0, count=1))[0]
    assert shown.shape == (64, 32, 3)
    # A quarter against the clock: what was left is below.
    assert shown[:28].mean() < 20
    assert shown[-28:].mean() > 180


def test_more_than_there_is_is_refused(video: Path) -> None:
    with pytest.raises(ValueError, match="it has 24 frames at 8 fps, not 25"):
        read(ClipFile(video), first=20, count=5)


def test_what_is_no_video_is_refused(tmp_path: Path, video: Path) -> None:
    data = video.read_bytes()
    path = tmp_path / "broken"
    for broken in (b"", b"no video", data[:16], data[:200], b"\x1a\x45\xdf\xa3" + bytes(200)):
        path.write_bytes(broken)
        with pytest.raises(
            ValueError, match=r"not a video that can be decoded|it has no pictures"
        ) as refusal:
            ClipFile(path)
        assert str(tmp_path) not in str(refusal.value)


def test_a_file_that_ends_early_is_refused_when_its_end_is_needed(
    tmp_path: Path, video: Path
) -> None:
    path = tmp_path / "short.mp4"
    data = video.read_bytes()
    path.write_bytes(data[: len(data) - 1000])
    with pytest.raises(ValueError, match=r"not a video that can be decoded|it has"):
        read(ClipFile(path))


def test_a_track_of_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="it has no pictures"):
        ClipFile(path)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_SIDE", 16, "32x32 is not from 1 to 16 pixels a side"),
        ("MAX_PICTURES", 20, "more than 20 pictures"),
        ("MAX_SECONDS", 2, "longer than 2 s"),
    ],
)
def test_limits_are_named(
    video: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str
) -> None:
    monkeypatch.setattr(clip_file, limit, value)
    with pytest.raises(ValueError, match=message):
        ClipFile(video)


def test_a_strip_is_refused(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "strip.mp4", gray_levels(2, height=16, width=16 * MAX_ASPECT + 2))
    with pytest.raises(ValueError, match=f"more than {MAX_ASPECT} times the other"):
        ClipFile(path)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ((16, 1600), f"16x1600: a side is more than {MAX_ASPECT} times the other"),
        ((4112, 2048), "4112x2048 is not from 1 to 4096 pixels a side"),
        ((4112, 4096), "not a video that can be decoded"),
    ],
)
def test_a_video_that_goes_on_with_pictures_of_another_size_is_refused_there(
    tmp_path: Path, later: tuple[int, int], message: str
) -> None:
    path = tmp_path / "turns.webm"
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number, size in enumerate(((64, 64), later)):
            for packet in keyframe(*size):
                packet.stream, packet.time_base = stream, Fraction(1, FPS)
                packet.pts = packet.dts = number
                container.mux(packet)
    clip = ClipFile(path)
    with pytest.raises(ValueError, match=message):
        read(clip, count=2)


def keyframe(width: int, height: int) -> list[av.Packet]:
    """The packets of a single gray picture."""
    codec = av.CodecContext.create("libvpx-vp9", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, FPS)
    codec.options = {"deadline": "realtime", "cpu-used": "8"}
    picture = av.VideoFrame(width, height, "yuv420p")
    picture.pts = 0
    return [*codec.encode(picture), *codec.encode(None)]


def test_a_few_bytes_that_tell_of_many_pictures_are_refused(tmp_path: Path, video: Path) -> None:
    data = bytearray(video.read_bytes())
    sizes = data.index(b"stsz")
    data[sizes + 8 : sizes + 16] = struct.pack(">II", 1, 60_000_000)
    path = tmp_path / "claims.mp4"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="it tells of more than 1000000 samples"):
        ClipFile(path)


def test_files_with_changed_bytes_are_videos_or_errors(tmp_path: Path, video: Path) -> None:
    generator = np.random.default_rng(1)
    data, path = video.read_bytes(), tmp_path / "broken.mp4"
    for _ in range(60):
        broken = bytearray(data)
        for place in generator.integers(0, len(data), 8):
            broken[place] ^= int(generator.integers(1, 256))
        path.write_bytes(broken)
        try:
            assert read(ClipFile(path), count=8).shape == (8, SIDE, SIDE, 3)
        except ValueError:
            continue
