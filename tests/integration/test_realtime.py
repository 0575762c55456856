"""Realtime videos are watched while they are made, with the real processes."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing

import av

from telecine.client import AsyncClient
from telecine.v1 import video_pb2

from .conftest import Service
from .waiting import all_events, until, until_ready


def num_frames(data: bytes) -> int:
    """How many frames a file, or the beginning of one, shows."""
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


async def stored(client: AsyncClient, name: str, artifact_id: str) -> bytes:
    """A file of a finished video."""
    chunks = client.read_video(name, artifact_id=artifact_id)
    return b"".join([chunk async for chunk in chunks])


async def until_shown(chunks: AsyncIterator[bytes], *, frames: int) -> bytes:
    """Returns what came, once it shows so many frames."""
    content = b""
    async with asyncio.timeout(60.0):
        while not content or num_frames(content) < frames:
            content += await anext(chunks)
    return content


async def test_a_realtime_video_is_played_while_it_is_made(
    service: Service, client: AsyncClient
) -> None:
    service.start_worker()
    await until_ready(client)
    created = await client.create_video(
        "a red circle moves right", duration_seconds=4.0, tier=video_pb2.TIER_REALTIME
    )
    shown = []
    content = b""
    async with aclosing(client.read_video(created.name, follow=True)) as chunks:
        async for chunk in chunks:
            content += chunk
            shown.append(num_frames(content))
    assert shown == sorted(shown)
    assert shown[-1] == created.num_frames
    assert len(set(shown)) > 2
    video = await client.get_video(created.name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    assert content == await stored(client, created.name, "live.mp4")
    assert num_frames(await stored(client, created.name, "video.mp4")) == created.num_frames

    events = await all_events(client, created.name)
    pieces = [event.fragment_ready for event in events if event.HasField("fragment_ready")]
    assert [piece.offset + piece.size_bytes for piece in pieces][-1] == len(content)
    assert pieces[-1].num_frames == created.num_frames


async def test_a_follower_only_pauses_when_the_worker_is_killed(
    service: Service, client: AsyncClient
) -> None:
    worker = service.start_worker()
    await until_ready(client)
    created = await client.create_video(
        "a blue square",
        seed=3,
        duration_seconds=12.0,
        size=(256, 256),
        num_inference_steps=4,
        tier=video_pb2.TIER_REALTIME,
    )
    async with aclosing(client.read_video(created.name, follow=True)) as chunks:
        content = await until_shown(chunks, frames=1)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        service.start_worker()
        async for chunk in chunks:
            content += chunk
    assert num_frames(content) == created.num_frames
    video = await client.get_video(created.name)
    assert video.attempt == 2
    assert content == await stored(client, created.name, "live.mp4")
    await until(lambda: not list((service.folder / "objects").rglob("live/*")))
