"""A file is sent while it is made, and what arrives is the file that is stored in the end."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from telecine.jobs.job_types import Lease
from telecine.storage.keys import artifact_key, piece_key, pieces_prefix
from telecine.v1 import video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]

# A piece of more than one message among them.
PIECES = [b"header" * 100, b"first" * 1000, bytes(range(256)) * 6000, b"last" * 500]
REALTIME = {"tier": video_pb2.TIER_REALTIME}


@dataclass
class Worker:
    """What a worker of a realtime video does, piece by piece."""

    gateway: Any
    lease: Lease
    attempt: int = 1
    offset: int = 0
    content: bytes = field(default=b"")

    async def announce(self, piece: bytes, *, is_stored: bool = True) -> None:
        """Stores and announces the next piece."""
        name = self.lease.video_name
        if is_stored:
            key = piece_key(name, attempt=self.attempt, offset=len(self.content))
            await self.gateway.objects.put(key, piece)
        fragment = video_pb2.VideoEvent.FragmentReady(
            artifact_id="live.mp4",
            offset=len(self.content),
            size_bytes=len(piece),
            digest=f"sha256:{hashlib.sha256(piece).hexdigest()}",
            attempt=self.attempt,
        )
        await self.gateway.jobs.announce_fragment(self.lease, fragment)
        self.content += piece

    async def lose(self) -> "Worker":
        """Is lost, and returns the worker that takes over."""
        await self.gateway.jobs.heartbeat(replace(self.lease, lease_seconds=0.0))
        assert await self.gateway.jobs.expire_leases() == 1
        return Worker(self.gateway, await self.gateway.claim(), attempt=self.attempt + 1)

    async def complete(self) -> video_pb2.Video:
        """Stores the whole files and ends the video."""
        video = await self.gateway.jobs.get(self.lease.video_name)
        artifacts = []
        kinds = {
            "video.mp4": (video_pb2.Artifact.KIND_VIDEO, b"usual file"),
            "live.mp4": (video_pb2.Artifact.KIND_LIVE_VIDEO, self.content),
        }
        for artifact_id, (kind, content) in kinds.items():
            stored = await self.gateway.objects.put(artifact_key(video, artifact_id), content)
            artifact = video_pb2.Artifact(artifact_id=artifact_id, kind=kind)
            artifact.size_bytes, artifact.digest = stored.size_bytes, stored.digest
            artifacts.append(artifact)
        ended: video_pb2.Video = await self.gateway.jobs.complete(self.lease, artifacts)
        return ended


@pytest.fixture
async def worker(gateway: Any) -> Worker:
    await gateway.create(**REALTIME)
    return Worker(gateway, await gateway.claim())


class Follower:
    """A followed download, read as it comes."""

    def __init__(self, gateway: Any, name: str, **fields: Any) -> None:
        request = video_service_pb2.DownloadVideoRequest(name=name, follow=True, **fields)
        self.call = gateway.videos.DownloadVideo(request)
        self.artifacts: list[video_pb2.Artifact] = []
        self.content = b""

    async def read(self, size: int) -> bytes:
        """Returns all that came, once it is at least so much."""
        async with asyncio.timeout(30):
            while len(self.content) < size:
                assert await self.next()
        return self.content

    async def read_all(self) -> bytes:
        """Returns all that came, once the stream has ended."""
        async with asyncio.timeout(30):
            while await self.next():
                pass
        return self.content

    async def next(self) -> bool:
        """Takes the next message; False at the end of the stream."""
        response = await self.call.read()
        if response is grpc.aio.EOF:
            return False
        assert len(response.data) <= 1024 * 1024
        if response.HasField("artifact"):
            self.artifacts.append(response.artifact)
        self.content += response.data
        return True


def follow(worker: Worker, **fields: Any) -> Follower:
    return Follower(worker.gateway, worker.lease.video_name, **fields)


async def test_each_piece_comes_when_it_is_announced(worker: Worker) -> None:
    follower = follow(worker)
    for piece in PIECES:
        await worker.announce(piece)
        assert await follower.read(len(worker.content)) == worker.content
    await worker.complete()
    assert await follower.read_all() == b"".join(PIECES)


async def test_description_of_a_growing_file_comes_at_once_and_again_when_it_is_whole(
    worker: Worker,
) -> None:
    follower = follow(worker)
    await follower.next()
    (growing,) = follower.artifacts
    assert (growing.artifact_id, growing.size_bytes) == ("live.mp4", 0)
    for piece in PIECES:
        await worker.announce(piece)
    video = await worker.complete()
    content = await follower.read_all()
    assert follower.artifacts == [growing, video.artifacts[1]]
    assert video.artifacts[1].digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_follower_from_before_the_first_worker_gets_all(gateway: Any) -> None:
    video = await gateway.create(**REALTIME)
    follower = Follower(gateway, video.name)
    await follower.next()
    worker = Worker(gateway, await gateway.claim())
    await worker.announce(PIECES[0])
    await worker.complete()
    assert await follower.read_all() == PIECES[0]


async def test_download_that_broke_off_goes_on_where_it_stopped(worker: Worker) -> None:
    await worker.announce(PIECES[0])
    await worker.announce(PIECES[1])
    follower = follow(worker)
    begin = (await follower.read(1000))[:1000]
    follower.call.cancel()
    again = follow(worker, read_offset=len(begin))
    await worker.announce(PIECES[2])
    await again.read(len(worker.content) - len(begin))
    await worker.complete()
    assert begin + await again.read_all() == b"".join(PIECES[:3])


async def test_another_worker_that_makes_the_same_bytes_is_not_noticed(worker: Worker) -> None:
    follower = follow(worker)
    for piece in PIECES[:2]:
        await worker.announce(piece)
    await follower.read(len(worker.content))
    second = await worker.lose()
    for piece in PIECES:
        await second.announce(piece)
    await second.complete()
    assert await follower.read_all() == b"".join(PIECES)


async def test_another_worker_that_makes_other_bytes_ends_it(
    worker: Worker, refused: Refused
) -> None:
    follower = follow(worker)
    for piece in PIECES[:2]:
        await worker.announce(piece)
    await follower.read(len(worker.content))
    second = await worker.lose()
    await second.announce(PIECES[0])
    await second.announce(b"other" * 1000)
    refusal = await refused(follower.read_all())
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "LIVE_FILE_CHANGED")
    assert follower.content == worker.content
    resumed = await refused(follow(second, read_offset=len(worker.content)).read_all())
    assert resumed.code == grpc.StatusCode.ABORTED
    anew = follow(second)
    await second.announce(PIECES[2])
    await second.complete()
    assert await anew.read_all() == second.content


@pytest.mark.parametrize("num_sent", [0, 1])
async def test_failure_of_the_video_ends_it_with_its_reason(
    worker: Worker, refused: Refused, num_sent: int
) -> None:
    follower = follow(worker)
    for piece in PIECES[:num_sent]:
        await worker.announce(piece)
    failure = video_pb2.Failure(reason="MODEL_FAILED", message="it did")
    await worker.gateway.jobs.fail(worker.lease, failure)
    for each in (follower, follow(worker)):
        refusal = await refused(each.read_all())
        assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
        assert (refusal.reason, refusal.metadata["state"]) == ("MODEL_FAILED", "FAILED")
        assert "it did" in refusal.message


async def test_cancel_of_the_video_ends_it(gateway: Any, refused: Refused) -> None:
    video = await gateway.create(**REALTIME)
    follower = Follower(gateway, video.name)
    await follower.next()
    await gateway.jobs.cancel(video.name)
    refusal = await refused(follower.read_all())
    assert (refusal.reason, refusal.metadata["state"]) == ("CANCELLED", "CANCELLED")


async def test_pieces_that_are_gone_come_out_of_the_whole_file(worker: Worker) -> None:
    await worker.announce(PIECES[0])
    await worker.announce(PIECES[1], is_stored=False)
    await worker.announce(PIECES[2])
    follower = follow(worker)
    await follower.read(len(PIECES[0]))
    video = await worker.complete()
    await worker.gateway.objects.delete_prefix(pieces_prefix(video.name, attempt=1))
    assert await follower.read_all() == b"".join(PIECES[:3])


async def test_finished_video_is_sent_as_it_could_have_been_followed(worker: Worker) -> None:
    for piece in PIECES:
        await worker.announce(piece)
    await worker.complete()
    assert await follow(worker).read_all() == b"".join(PIECES)
    assert await follow(worker, read_offset=900).read_all() == b"".join(PIECES)[900:]
    assert await follow(worker, artifact_id="video.mp4").read_all() == b"usual file"


async def test_file_that_does_not_grow_is_waited_for(worker: Worker) -> None:
    follower = follow(worker, artifact_id="video.mp4")
    await worker.announce(PIECES[0])
    video = await worker.complete()
    assert await follower.read_all() == b"usual file"
    assert follower.artifacts == [video.artifacts[0]]


async def test_video_of_another_tier_is_waited_for(gateway: Any) -> None:
    video = await gateway.create(tier=video_pb2.TIER_STANDARD)
    follower = Follower(gateway, video.name, read_offset=2)
    await gateway.finish(await gateway.claim(), b"frames")
    assert await follower.read_all() == b"ames"


async def test_limit_bounds_what_comes_of_a_growing_file(worker: Worker) -> None:
    await worker.announce(PIECES[0])
    await worker.announce(PIECES[1])
    content = await follow(worker, read_offset=590, read_limit=20).read_all()
    assert content == worker.content[590:610]


async def test_unknown_video_is_not_found(gateway: Any, refused: Refused) -> None:
    refusal = await refused(Follower(gateway, "videos/absent").read_all())
    assert refusal.code == grpc.StatusCode.NOT_FOUND
