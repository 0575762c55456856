"""Several videos of one spec, through the gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from telecine.v1 import video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]


def batch(num_videos: int, request_id: str = "", **fields: Any) -> Any:
    spec = video_pb2.VideoSpec(**{"prompt": "a red circle", **fields})
    return video_service_pb2.BatchCreateVideosRequest(
        spec=spec, num_videos=num_videos, request_id=request_id
    )


async def all_names(gateway: Any) -> set[str]:
    listed = await gateway.videos.ListVideos(video_service_pb2.ListVideosRequest())
    return {video.name for video in listed.videos}


async def test_each_video_has_a_seed_of_its_own(gateway: Any) -> None:
    given = await gateway.videos.BatchCreateVideos(batch(3, seed=7))
    assert [video.spec.seed for video in given.videos] == [7, 8, 9]
    drawn = await gateway.videos.BatchCreateVideos(batch(3))
    assert len({video.spec.seed for video in drawn.videos}) == 3
    assert len(await all_names(gateway)) == 6


async def test_repeat_with_the_same_request_id_returns_the_same_videos(gateway: Any) -> None:
    first = await gateway.videos.BatchCreateVideos(batch(2, "twice"))
    again = await gateway.videos.BatchCreateVideos(batch(2, "twice"))
    assert [video.name for video in again.videos] == [video.name for video in first.videos]


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("num_videos", batch(0)),
        ("num_videos", batch(17)),
        ("request_id", batch(2, "a" * 61)),
        ("spec.prompt", batch(2, prompt="")),
        ("request_id", batch(2, "a/b")),
        ("spec.seed", batch(2, seed=2**63 - 1)),
    ],
)
async def test_bad_batch_is_refused_by_its_field_and_leaves_no_video(
    gateway: Any, refused: Refused, field: str, request_: Any
) -> None:
    refusal = await refused(gateway.videos.BatchCreateVideos(request_))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert await all_names(gateway) == set()


async def test_the_last_seeds_that_there_are_can_be_had(gateway: Any) -> None:
    given = await gateway.videos.BatchCreateVideos(batch(2, seed=2**63 - 2))
    assert [video.spec.seed for video in given.videos] == [2**63 - 2, 2**63 - 1]


async def test_request_ids_of_a_batch_are_no_caller_s_own(gateway: Any) -> None:
    await gateway.videos.BatchCreateVideos(batch(3, "v1"))
    single = video_service_pb2.CreateVideoRequest(
        spec=video_pb2.VideoSpec(prompt="another"), request_id="v1.1"
    )
    video = await gateway.videos.CreateVideo(single)
    assert video.spec.prompt == "another"


async def next_change(call: Any) -> Any:
    async with asyncio.timeout(20):
        while not (response := await call.read()).WhichOneof("change"):
            pass
    return response


async def test_watcher_of_all_videos_that_comes_back_sees_what_ended_meanwhile(
    gateway: Any,
) -> None:
    video = await gateway.create()
    call = gateway.videos.WatchVideos(video_service_pb2.WatchVideosRequest())
    seen = await next_change(call)
    assert (seen.video.name, seen.event_id != "") == (video.name, True)
    call.cancel()
    await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
    again = video_service_pb2.WatchVideosRequest(after_event_id=seen.event_id)
    call = gateway.videos.WatchVideos(again)
    missed = await next_change(call)
    assert (missed.video.name, missed.video.state) == (video.name, video_pb2.Video.STATE_CANCELLED)
    call.cancel()


async def test_watcher_of_all_videos_is_told_of_changes_that_are_known_no_more(
    gateway: Any,
) -> None:
    later = video_service_pb2.WatchVideosRequest(after_event_id="9999999999999-0")
    call = gateway.videos.WatchVideos(later)
    assert (await next_change(call)).is_gap
    call.cancel()


async def test_watch_of_all_videos_behind_no_event_is_refused(
    gateway: Any, refused: Refused
) -> None:
    call = gateway.videos.WatchVideos(video_service_pb2.WatchVideosRequest(after_event_id="x"))
    refusal = await refused(call.read())
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "after_event_id")


async def test_watcher_of_all_videos_sees_a_batch_come(gateway: Any) -> None:
    call = gateway.videos.WatchVideos(video_service_pb2.WatchVideosRequest())
    await call.initial_metadata()
    created = await gateway.videos.BatchCreateVideos(batch(3))
    seen: set[str] = set()
    async with asyncio.timeout(20):
        while len(seen) < 3:
            response = await call.read()
            seen |= {response.video.name} - {""}
    assert seen == {video.name for video in created.videos}
    call.cancel()
