"""A video is fetched while it is made: what has come can be played at any time."""

import asyncio
import random
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from breaking_proxy import BreakingProxy
from gateway_process import GatewayProcess
from live_worker import LiveWorker

from telecine.client import AsyncClient, Client, LiveFileChangedError, VideoStateError
from telecine.media.live_transcoder import LivePiece, LiveWriter
from telecine.media.transcoder import EncodingOptions
from telecine.v1 import video_pb2

PIECES = [random.Random(number).randbytes(300_000) for number in range(4)]


@pytest.fixture
async def worker(gateway: GatewayProcess) -> LiveWorker:
    """The worker of a realtime video."""
    async with AsyncClient(gateway.address) as client:
        await client.create_video("a red circle", tier=video_pb2.TIER_REALTIME)
    return await LiveWorker.claim(gateway.jobs, gateway.objects)


async def until_written(path: Path, size: int) -> bytes:
    """Returns what is in a growing file, once it is at least so much."""
    async with asyncio.timeout(30):
        while True:
            content = path.read_bytes() if path.exists() else b""
            if len(content) >= size:
                return content
            await asyncio.sleep(0.01)


def live_pieces(folder: Path) -> list[tuple[bytes, int]]:
    """Real pieces of a live file, each with the frames that it makes in all."""
    pieces: list[LivePiece] = []
    path = folder / "made.mp4"
    frames = np.random.default_rng(1).integers(0, 255, (13, 64, 64, 3), dtype=np.uint8)
    writer = LiveWriter(path, EncodingOptions(fps=8), size=(64, 64), on_piece=pieces.append)
    for chunk in np.split(frames, [1, 5, 9]):
        writer.write(chunk)
    writer.finish()
    data = path.read_bytes()
    return [
        (data[piece.offset : piece.offset + piece.size_bytes], piece.num_frames) for piece in pieces
    ]


async def test_growing_file_plays_up_to_its_last_fragment_at_any_time(
    gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    async with AsyncClient(gateway.address) as client:
        download = asyncio.create_task(client.download_video(worker.name, path, follow=True))
        for piece, num_frames in live_pieces(tmp_path):
            await worker.announce(piece, num_frames=num_frames)
            await until_written(path, len(worker.content))
            with av.open(str(path)) as container:
                assert sum(1 for _ in container.decode(video=0)) == num_frames
        video = await worker.complete()
        assert await download == video.artifacts[1]
    assert path.read_bytes() == worker.content


async def test_followed_download_goes_on_after_broken_connections(
    gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    proxy = BreakingProxy(gateway.port, num_breaks=3, break_bytes=200_000)
    async with proxy.serve() as address, AsyncClient(address) as client:
        download = asyncio.create_task(
            client.download_video(worker.name, tmp_path / "out.mp4", follow=True)
        )
        for piece in PIECES:
            await worker.announce(piece)
        await worker.complete()
        await download
    assert proxy.num_connections > 3
    assert (tmp_path / "out.mp4").read_bytes() == worker.content


async def test_bytes_come_as_they_are_made(gateway: GatewayProcess, worker: LiveWorker) -> None:
    async with AsyncClient(gateway.address) as client:
        chunks = client.read_video(worker.name, follow=True)
        content = b""
        for piece in PIECES:
            await worker.announce(piece)
            while len(content) < len(worker.content):
                content += await anext(chunks)
        await worker.complete()
        assert [chunk async for chunk in chunks] == []
        rest = [chunk async for chunk in client.read_video(worker.name, read_offset=5)]
    assert content == worker.content
    assert b"".join(rest) == b" file"


async def test_file_that_is_made_anew_with_other_bytes_is_fetched_anew(
    gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    async with AsyncClient(gateway.address) as client:
        download = asyncio.create_task(client.download_video(worker.name, path, follow=True))
        chunks = client.read_video(worker.name, follow=True)
        await worker.announce(PIECES[0])
        await until_written(path, len(worker.content))
        await anext(chunks)
        second = await worker.lose()
        await second.announce(PIECES[1][:1000])
        with pytest.raises(LiveFileChangedError) as raised:
            assert [chunk async for chunk in chunks] == []
        assert raised.value.reason == "LIVE_FILE_CHANGED"
        await second.complete()
        await download
    assert path.read_bytes() == PIECES[1][:1000]


async def test_failure_of_the_video_ends_a_followed_download(
    gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    async with AsyncClient(gateway.address) as client:
        download = asyncio.create_task(client.download_video(worker.name, path, follow=True))
        await worker.announce(PIECES[0])
        await until_written(path, len(worker.content))
        await worker.jobs.fail(worker.lease, video_pb2.Failure(reason="MODEL_FAILED", message="x"))
        with pytest.raises(VideoStateError) as raised:
            await download
    assert raised.value.reason == "MODEL_FAILED"
    assert path.read_bytes() == worker.content


async def test_blocking_client_follows_too(
    gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    def fetch() -> tuple[video_pb2.Artifact, bytes]:
        with Client(gateway.address) as client:
            artifact = client.download_video(worker.name, tmp_path / "out.mp4", follow=True)
            return artifact, b"".join(client.read_video(worker.name, follow=True))

    fetching: Any = asyncio.create_task(asyncio.to_thread(fetch))
    for piece in PIECES:
        await worker.announce(piece)
        await until_written(tmp_path / "out.mp4", len(worker.content))
    video = await worker.complete()
    assert await fetching == (video.artifacts[1], worker.content)
    assert (tmp_path / "out.mp4").read_bytes() == worker.content
