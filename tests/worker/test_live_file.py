"""A realtime video's growing file: what is stored and announced, and when."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from redis.asyncio import Redis
from submissions import claim_next

from telecine.errors import LeaseLostError, ObjectStoreUnavailableError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.storage.keys import artifact_key, piece_key
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import StoredObject
from telecine.v1 import video_pb2
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.held_video import HeldVideo
from telecine.worker.worker_state import WorkerState, WorkerStateHolder

from .conftest import submission

FRAMES = np.random.default_rng(3).integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)
CHUNKS = (FRAMES[:1], FRAMES[1:5], FRAMES[5:])
Fragment = video_pb2.VideoEvent.FragmentReady

FILES = {"video.mp4", "thumbnail.webp", "spritesheet.webp"}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    redis = connect_redis(redis_url)
    yield redis
    await redis.aclose()


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "objects")


@pytest.fixture
async def held(jobs: JobStore, tmp_path: Path) -> HeldVideo:
    """A realtime video whose frames are about to come."""
    realtime = submission()
    realtime.spec.tier = video_pb2.TIER_REALTIME
    await jobs.submit(realtime)
    return await claim(jobs, tmp_path)


async def claim(jobs: JobStore, tmp_path: Path) -> HeldVideo:
    assignment = await claim_next(jobs, lease_seconds=30.0)
    state = WorkerStateHolder()
    for entered in ("LOADING", "READY", "INITIALIZING", "GENERATING", "DECODING"):
        state.enter(WorkerState(entered))
    checkpoints = CheckpointStore(tmp_path / "checkpoints", remote=None, quota_bytes=1 << 30)
    return HeldVideo(assignment, jobs=jobs, checkpoints=checkpoints, state=state)


async def announced(client: Redis, held: HeldVideo) -> list[Fragment]:
    events = await EventLog(client).read(held.video.name)
    return [event.fragment_ready for event in events if event.HasField("fragment_ready")]


async def until_announced(client: Redis, held: HeldVideo, *, num_frames: int) -> list[Fragment]:
    async with asyncio.timeout(30):
        while True:
            found = await announced(client, held)
            if found and found[-1].num_frames >= num_frames:
                return found
            await asyncio.sleep(0.01)


async def read(store: LocalObjectStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key)])


async def finish(
    held: HeldVideo, jobs: JobStore, store: LocalObjectStore, chunks: tuple[NDArray[np.uint8], ...]
) -> list[video_pb2.Artifact]:
    async with FinishingLane(store, jobs).open(held) as finishing:
        for chunk in chunks:
            await finishing.write(chunk)
        artifacts, _ = await finishing.finish()
        return artifacts


async def test_each_chunk_can_be_watched_while_the_next_is_still_made(
    held: HeldVideo, jobs: JobStore, store: LocalObjectStore, client: Redis
) -> None:
    video = held.video
    async with FinishingLane(store, jobs).open(held) as finishing:
        await until_announced(client, held, num_frames=0)
        for chunk, num_frames in zip(CHUNKS, (1, 5, 9), strict=True):
            await finishing.write(chunk)
            fragments = await until_announced(client, held, num_frames=num_frames)
            pieces = [
                await read(
                    store, piece_key(video.name, attempt=fragment.attempt, offset=fragment.offset)
                )
                for fragment in fragments
            ]
            with av.open(io.BytesIO(b"".join(pieces))) as container:
                assert len(list(container.decode(video=0))) == num_frames
        artifacts, _ = await finishing.finish()
    live = next(each for each in artifacts if each.kind == video_pb2.Artifact.KIND_LIVE_VIDEO)
    assert (live.artifact_id, live.content_type) == ("live.mp4", "video/mp4")
    assert await read(store, artifact_key(video, "live.mp4")) == b"".join(pieces)
    for fragment, piece in zip(fragments, pieces, strict=True):
        digest = f"sha256:{hashlib.sha256(piece).hexdigest()}"
        assert (fragment.artifact_id, fragment.attempt) == ("live.mp4", 1)
        assert (fragment.size_bytes, fragment.digest) == (len(piece), digest)
    assert {each.artifact_id for each in artifacts} == {*FILES, "live.mp4"}


async def test_another_attempt_announces_the_same_pieces(
    held: HeldVideo, jobs: JobStore, store: LocalObjectStore, client: Redis, tmp_path: Path
) -> None:
    async with FinishingLane(store, jobs).open(held) as finishing:
        await finishing.write(CHUNKS[0])
        await finishing.write(CHUNKS[1])
        await until_announced(client, held, num_frames=5)
    await held.requeue("DRAINING")
    again = await claim(jobs, tmp_path)
    await finish(again, jobs, store, CHUNKS)
    fragments = await announced(client, again)
    first = [each for each in fragments if each.attempt == 1]
    second = [each for each in fragments if each.attempt == 2]
    assert [each.num_frames for each in second] == [0, 1, 5, 9]
    for before, after in zip(first, second, strict=False):
        assert (before.offset, before.digest) == (after.offset, after.digest)


class BrokenStore(LocalObjectStore):
    """A store that takes no pieces."""

    async def put(self, key: str, data: bytes) -> StoredObject:
        if "/live/" in key:
            raise ObjectStoreUnavailableError("full")
        return await super().put(key, data)


async def test_store_that_takes_no_pieces_fails_no_video(
    held: HeldVideo, jobs: JobStore, client: Redis, tmp_path: Path
) -> None:
    store = BrokenStore(tmp_path / "objects")
    artifacts = await finish(held, jobs, store, CHUNKS)
    live = await read(store, artifact_key(held.video, "live.mp4"))
    assert "live.mp4" in {each.artifact_id for each in artifacts}
    fragments = await announced(client, held)
    assert sum(each.size_bytes for each in fragments) == len(live)


async def test_lost_lease_ends_the_work(
    held: HeldVideo, jobs: JobStore, store: LocalObjectStore
) -> None:
    await jobs.heartbeat(replace(held.lease, lease_seconds=0.0))
    assert await jobs.expire_leases() == 1
    with pytest.raises(LeaseLostError):
        await finish(held, jobs, store, CHUNKS)


async def test_pieces_go_when_the_video_has_ended(
    held: HeldVideo, jobs: JobStore, store: LocalObjectStore, client: Redis, tmp_path: Path
) -> None:
    async with FinishingLane(store, jobs).open(held) as finishing:
        await finishing.write(CHUNKS[0])
        await finishing.write(CHUNKS[1])
        await until_announced(client, held, num_frames=5)
    assert list((tmp_path / "objects").rglob("live/*"))
    await held.requeue("DRAINING")
    again = await claim(jobs, tmp_path)
    await finish(again, jobs, store, CHUNKS)
    await FinishingLane(store, jobs).clear(again.video)
    assert not list((tmp_path / "objects").rglob("live/*"))
    assert await read(store, artifact_key(again.video, "live.mp4"))


async def test_video_of_another_tier_has_no_live_file(
    jobs: JobStore, store: LocalObjectStore, client: Redis, tmp_path: Path
) -> None:
    await jobs.submit(submission())
    held = await claim(jobs, tmp_path)
    artifacts = await finish(held, jobs, store, CHUNKS)
    assert {each.artifact_id for each in artifacts} == FILES
    assert await announced(client, held) == []
