"""A file is sent while it is made, and what arrives is the file that is stored in the end."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from live_worker import USUAL_FILE, LiveWorker

from telecine.storage.keys import pieces_prefix
from telecine.v1 import video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
Follow = Callable[..., "Follower"]

# A piece of more than one message among them.
PIECES = [b"header" * 100, b"first" * 1000, bytes(range(256)) * 6000, b"last" * 500]
REALTIME = {"tier": video_pb2.TIER_REALTIME}


@pytest.fixture
async def worker(gateway: Any) -> LiveWorker:
    await gateway.create(**REALTIME)
    return await LiveWorker.claim(gateway.jobs, gateway.objects)


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


@pytest.fixture
def follow(gateway: Any, worker: LiveWorker) -> Follow:
    """Follows the worker's video; the fields are those of the request."""
    return lambda **fields: Follower(gateway, worker.name, **fields)


async def test_each_piece_comes_when_it_is_announced(worker: LiveWorker, follow: Follow) -> None:
    follower = follow()
    for piece in PIECES:
        await worker.announce(piece)
        assert await follower.read(len(worker.content)) == worker.content
    await worker.complete()
    assert await follower.read_all() == b"".join(PIECES)


async def test_description_of_a_growing_file_comes_at_once_and_again_when_it_is_whole(
    worker: LiveWorker,
    follow: Follow,
) -> None:
    follower = follow()
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
    worker = await LiveWorker.claim(gateway.jobs, gateway.objects)
    await worker.announce(PIECES[0])
    await worker.complete()
    assert await follower.read_all() == PIECES[0]


async def test_download_that_broke_off_goes_on_where_it_stopped(
    worker: LiveWorker, follow: Follow
) -> None:
    await worker.announce(PIECES[0])
    await worker.announce(PIECES[1])
    follower = follow()
    begin = (await follower.read(1000))[:1000]
    follower.call.cancel()
    again = follow(read_offset=len(begin))
    await worker.announce(PIECES[2])
    await again.read(len(worker.content) - len(begin))
    await worker.complete()
    assert begin + await again.read_all() == b"".join(PIECES[:3])


async def test_another_worker_that_makes_the_same_bytes_is_not_noticed(
    worker: LiveWorker, follow: Follow
) -> None:
    follower = follow()
    for piece in PIECES[:2]:
        await worker.announce(piece)
    await follower.read(len(worker.content))
    second = await worker.lose()
    for piece in PIECES:
        await second.announce(piece)
    await second.complete()
    assert await follower.read_all() == b"".join(PIECES)


async def test_another_worker_that_makes_other_bytes_ends_it(
    worker: LiveWorker, follow: Follow, refused: Refused
) -> None:
    follower = follow()
    for piece in PIECES[:2]:
        await worker.announce(piece)
    await follower.read(len(worker.content))
    second = await worker.lose()
    await second.announce(PIECES[0])
    await second.announce(b"other" * 1000)
    refusal = await refused(follower.read_all())
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "LIVE_FILE_CHANGED")
    assert follower.content == worker.content
    resumed = await refused(follow(read_offset=len(worker.content)).read_all())
    assert resumed.code == grpc.StatusCode.ABORTED
    anew = follow()
    await second.announce(PIECES[2])
    await second.complete()
    assert await anew.read_all() == second.content


@pytest.mark.parametrize("num_sent", [0, 1])
async def test_failure_of_the_video_ends_it_with_its_reason(
    worker: LiveWorker, follow: Follow, refused: Refused, num_sent: int
) -> None:
    follower = follow()
    for piece in PIECES[:num_sent]:
        await worker.announce(piece)
    failure = video_pb2.Failure(reason="MODEL_FAILED", message="it did")
    await worker.jobs.fail(worker.lease, failure)
    for each in (follower, follow()):
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


async def test_pieces_that_are_gone_come_out_of_the_whole_file(
    worker: LiveWorker, follow: Follow
) -> None:
    await worker.announce(PIECES[0])
    await worker.announce(PIECES[1], is_stored=False)
    await worker.announce(PIECES[2])
    follower = follow()
    await follower.read(len(PIECES[0]))
    video = await worker.complete()
    await worker.objects.delete_prefix(pieces_prefix(video.name, attempt=1))
    assert await follower.read_all() == b"".join(PIECES[:3])


async def test_finished_video_is_sent_as_it_could_have_been_followed(
    worker: LiveWorker, follow: Follow
) -> None:
    for piece in PIECES:
        await worker.announce(piece)
    await worker.complete()
    assert await follow().read_all() == b"".join(PIECES)
    assert await follow(read_offset=900).read_all() == b"".join(PIECES)[900:]
    assert await follow(artifact_id="video.mp4").read_all() == USUAL_FILE


async def test_file_that_does_not_grow_is_waited_for(worker: LiveWorker, follow: Follow) -> None:
    follower = follow(artifact_id="video.mp4")
    await worker.announce(PIECES[0])
    video = await worker.complete()
    assert await follower.read_all() == USUAL_FILE
    assert follower.artifacts == [video.artifacts[0]]


async def test_video_of_another_tier_is_waited_for(gateway: Any) -> None:
    video = await gateway.create(tier=video_pb2.TIER_STANDARD)
    follower = Follower(gateway, video.name, read_offset=2)
    await gateway.finish(await gateway.claim(), b"frames")
    assert await follower.read_all() == b"ames"


async def test_limit_bounds_what_comes_of_a_growing_file(
    worker: LiveWorker, follow: Follow
) -> None:
    await worker.announce(PIECES[0])
    await worker.announce(PIECES[1])
    content = await follow(read_offset=590, read_limit=20).read_all()
    assert content == worker.content[590:610]


async def test_unknown_video_is_not_found(gateway: Any, refused: Refused) -> None:
    refusal = await refused(Follower(gateway, "videos/absent").read_all())
    assert refusal.code == grpc.StatusCode.NOT_FOUND
