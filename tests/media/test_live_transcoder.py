"""The growing file: real fragments, read back at every length."""

import hashlib
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from telecine.media.live_transcoder import LivePiece, LiveWriter
from telecine.media.transcoder import EncodingOptions

WIDTH, HEIGHT = 96, 64
OPTIONS = EncodingOptions(fps=16)


def moving_bar(num_frames: int) -> NDArray[np.uint8]:
    """A white bar that moves two pixels a frame over grey noise."""
    noise = np.random.default_rng(7).integers(0, 90, (HEIGHT, WIDTH, 1), dtype=np.uint8)
    frames = np.broadcast_to(noise, (num_frames, HEIGHT, WIDTH, 3)).copy()
    for number, frame in enumerate(frames):
        frame[:, 2 * number : 2 * number + 8] = 255
    return frames


def write(
    path: Path, frames: NDArray[np.uint8], cuts: list[int], options: EncodingOptions = OPTIONS
) -> list[LivePiece]:
    """Writes the file in chunks that end at `cuts`."""
    pieces: list[LivePiece] = []
    writer = LiveWriter(path, options, size=(WIDTH, HEIGHT), on_piece=pieces.append)
    for chunk in np.split(frames, cuts):
        writer.write(chunk)
    writer.finish()
    return pieces


def decode(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


def test_every_prefix_of_pieces_plays_with_every_frame_so_far(tmp_path: Path) -> None:
    path, frames = tmp_path / "live.mp4", moving_bar(33)
    pieces = write(path, frames, [1, 5, 9, 17, 25])
    assert [piece.num_frames for piece in pieces] == [0, 1, 5, 9, 17, 25, 33]
    data = path.read_bytes()
    for piece in pieces:
        shown = decode(data[: piece.offset + piece.size_bytes])
        assert [frame.pts * frame.time_base for frame in shown] == [
            Fraction(number, 16) for number in range(piece.num_frames)
        ]
        for number, frame in enumerate(shown):
            difference = frame.to_ndarray(format="rgb24").astype(int) - frames[number]
            assert np.abs(difference).mean() < 4


def test_a_chunk_is_written_before_the_next_one_is_known(tmp_path: Path) -> None:
    path, pieces, frames = tmp_path / "live.mp4", list[LivePiece](), moving_bar(9)
    writer = LiveWriter(path, OPTIONS, size=(WIDTH, HEIGHT), on_piece=pieces.append)
    assert [piece.num_frames for piece in pieces] == [0]
    for end in (1, 5, 9):
        writer.write(frames[max(0, end - 4) : end])
        assert len(decode(path.read_bytes())) == pieces[-1].num_frames == end
    writer.finish()


def test_pieces_are_the_whole_file_and_name_their_digests(tmp_path: Path) -> None:
    path = tmp_path / "live.mp4"
    pieces = write(path, moving_bar(9), [1, 5])
    data = path.read_bytes()
    position = 0
    for piece in pieces:
        content = data[piece.offset : piece.offset + piece.size_bytes]
        assert piece.offset == position
        assert piece.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        position += piece.size_bytes
    assert position == len(data)


def test_the_same_chunks_give_the_same_bytes(tmp_path: Path) -> None:
    frames = moving_bar(33)
    first = write(tmp_path / "a.mp4", frames, [1, 9, 17])
    again = write(tmp_path / "b.mp4", frames, [1, 9, 17])
    assert first == again
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_file_is_h264_of_the_upscaled_size_with_a_key_frame_a_second(tmp_path: Path) -> None:
    path = tmp_path / "live.mp4"
    write(path, moving_bar(33), [1, 17], EncodingOptions(fps=16, upscale=2))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (2 * WIDTH, 2 * HEIGHT)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [number for number, packet in enumerate(packets) if packet.is_keyframe] == [0, 16, 32]
    assert all(packet.pts == packet.dts for packet in packets)


def test_what_is_no_frame_of_the_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="95x64"):
        LiveWriter(tmp_path / "a.mp4", OPTIONS, size=(95, 64), on_piece=print)
    writer = LiveWriter(tmp_path / "b.mp4", OPTIONS, size=(WIDTH, HEIGHT), on_piece=lambda _: None)
    with pytest.raises(ValueError, match="not"):
        writer.write(moving_bar(1)[:, :32])
    with pytest.raises(ValueError, match="at least one frame"):
        writer.finish()
    writer.abandon()
