"""Transcoder: real files, read back."""

import asyncio
import errno
import struct
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from telecine.backend.frames import to_frames
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.engine.families.toybox import ToyboxFamily
from telecine.media.transcoder import EncodingOptions, Frames, Mp4Writer, Transcoder

COLOURS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [128, 128, 128], [255, 255, 255]],
    dtype=np.uint8,
)


def colour_bars(num_frames: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """Six upright bars of one colour each."""
    row = np.repeat(COLOURS, width // len(COLOURS), axis=0)
    return np.broadcast_to(row, (num_frames, height, *row.shape)).copy()


def read_back(path: Path) -> NDArray[np.uint8]:
    """Every frame of a file, [n, H, W, 3] uint8."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def box_types(path: Path) -> list[str]:
    """The types of an MP4 file's outermost boxes, in order."""
    data, offset, types = path.read_bytes(), 0, []
    while offset < len(data):
        size, kind = struct.unpack_from(">I4s", data, offset)
        types.append(kind.decode())
        offset += size
    return types


async def encode(path: Path, chunks: list[NDArray[np.uint8]], options: EncodingOptions) -> None:
    async with Transcoder(Mp4Writer(path, options)) as transcoder:
        for chunk in chunks:
            await transcoder.write(chunk)
        await transcoder.finish()


async def test_file_holds_every_frame_in_its_size_rate_and_colours(tmp_path: Path) -> None:
    frames, path = colour_bars(33), tmp_path / "video.mp4"
    await encode(path, [frames[:1], *np.split(frames[1:], 8)], EncodingOptions(fps=16))
    decoded = read_back(path)
    assert decoded.shape == frames.shape
    assert np.abs(decoded[:, 32, 8::16].astype(int) - COLOURS).max() <= 4
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.frames) == (16, 33)


async def test_index_comes_before_the_data(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    await encode(path, [colour_bars(5)], EncodingOptions(fps=8))
    boxes = box_types(path)
    assert boxes.index("moov") < boxes.index("mdat")


async def test_same_frames_give_the_same_bytes_however_they_are_cut(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (17, 64, 64, 3), dtype=np.uint8)
    await encode(tmp_path / "a.mp4", [frames], EncodingOptions(fps=16))
    await encode(tmp_path / "b.mp4", [frames[:1], frames[1:9], frames[9:]], EncodingOptions(fps=16))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


async def test_upscale_repeats_every_pixel(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    await encode(path, [colour_bars(3, 32, 48)], EncodingOptions(fps=8, upscale=4))
    decoded = read_back(path)
    assert decoded.shape == (3, 128, 192, 3)
    assert np.abs(decoded[:, 64, 16::32].astype(int) - COLOURS).max() <= 4


async def test_odd_size_is_refused_with_the_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="95x64"):
        await encode(tmp_path / "video.mp4", [colour_bars(1)[:, :, :95]], EncodingOptions(fps=8))


async def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the first were"):
        await encode(
            tmp_path / "video.mp4",
            [colour_bars(1), colour_bars(1, 32)],
            EncodingOptions(fps=8),
        )


async def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        await encode(tmp_path / "video.mp4", [], EncodingOptions(fps=8))


async def test_writer_is_held_back_while_the_encoder_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    write = Mp4Writer.write

    def slow_write(self: Mp4Writer, frames: NDArray[np.uint8]) -> None:
        gate.wait()
        write(self, frames)

    monkeypatch.setattr(Mp4Writer, "write", slow_write)
    async with Transcoder(Mp4Writer(tmp_path / "video.mp4", EncodingOptions(fps=8))) as transcoder:
        await transcoder.write(colour_bars(1))
        await transcoder.write(colour_bars(1))
        third = asyncio.create_task(transcoder.write(colour_bars(1)))
        await asyncio.sleep(0)
        assert not third.done()
        gate.set()
        await third
        await transcoder.finish()
    assert len(read_back(tmp_path / "video.mp4")) == 3


async def test_nothing_is_written_after_what_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet more, for a file whose header found no room, would end the process."""
    num_writes = 0

    def write_to_a_full_disk(_: Mp4Writer, frames: Frames) -> None:
        nonlocal num_writes
        num_writes += 1
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(Mp4Writer, "write", write_to_a_full_disk)
    async with Transcoder(Mp4Writer(tmp_path / "video.mp4", EncodingOptions(fps=8))) as transcoder:
        await transcoder.write(colour_bars(1))
        await transcoder.write(colour_bars(1))
        with pytest.raises(OSError, match="no room"):
            await transcoder.finish()
    assert num_writes == 1


async def test_leaving_early_ends_the_encoder(tmp_path: Path) -> None:
    async with Transcoder(Mp4Writer(tmp_path / "video.mp4", EncodingOptions(fps=8))) as transcoder:
        await transcoder.write(colour_bars(4))
    with pytest.raises(RuntimeError, match="shutdown"):
        await transcoder.write(colour_bars(1))


@torch.inference_mode()
def _clips_of_noise(num_clips: int) -> list[Frames]:
    """What the built-in decoder makes of noise; simpler clips do not show what this is about."""
    vae = ToyboxFamily(BUILT_IN_WEIGHTS / "toybox").load_vae(torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(num_clips, 1, 24, 3, 4, 4, generator=generator)
    return [np.concatenate([to_frames(c) for c in vae.decode_chunks(clip)]) for clip in latents]


def test_what_was_encoded_before_changes_no_byte(tmp_path: Path) -> None:
    clips = _clips_of_noise(12)
    order = np.random.default_rng(0)
    made: dict[int, set[bytes]] = {}
    for _ in range(800):
        number = int(order.integers(len(clips)))
        writer = Mp4Writer(tmp_path / "video.mp4", EncodingOptions(fps=8))
        writer.write(clips[number])
        writer.finish()
        made.setdefault(number, set()).add((tmp_path / "video.mp4").read_bytes())
    assert [len(files) for files in made.values()] == [1] * len(clips)
