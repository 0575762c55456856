"""The life of a video as a client sees it, over the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from telecine.v1 import video_pb2, video_service_pb2

PROMPT = "a red circle moves left"
Refused = Callable[[Awaitable[object]], Awaitable[Any]]


def creation(request_id: str = "", **fields: Any) -> video_service_pb2.CreateVideoRequest:
    spec = video_pb2.VideoSpec(**{"prompt": PROMPT, **fields})
    return video_service_pb2.CreateVideoRequest(spec=spec, request_id=request_id)


def get(name: str) -> video_service_pb2.GetVideoRequest:
    return video_service_pb2.GetVideoRequest(name=name)


async def test_created_video_is_queued_with_every_field_resolved(gateway: Any) -> None:
    video = await gateway.videos.CreateVideo(creation(seed=7))
    assert video.name.startswith("videos/")
    assert video.state == video_pb2.Video.STATE_QUEUED
    assert video.queue_position == 0
    assert (video.num_frames, video.attention) == (33, "full")
    assert (video.spec.seed, video.spec.sampler, video.spec.model) == (7, "euler", "models/toybox")
    assert (video.model_version, video.model_digest) == ("1", "sha256:00")
    assert await gateway.videos.GetVideo(get(video.name)) == video


async def test_same_request_id_and_spec_return_the_same_video(gateway: Any) -> None:
    first = await gateway.videos.CreateVideo(creation("order-1"))
    second = await gateway.videos.CreateVideo(creation("order-1"))
    assert second == first
    listed = await gateway.videos.ListVideos(video_service_pb2.ListVideosRequest())
    assert len(listed.videos) == 1


async def test_same_request_id_with_another_spec_already_exists(
    gateway: Any, refused: Refused
) -> None:
    await gateway.videos.CreateVideo(creation("order-1"))
    refusal = await refused(gateway.videos.CreateVideo(creation("order-1", seed=1)))
    assert refusal.code == grpc.StatusCode.ALREADY_EXISTS
    assert refusal.field == "request_id"
    assert await gateway.videos.CreateVideo(creation("order-2", seed=1))


async def test_repeat_returns_its_video_when_what_it_was_made_from_is_gone(gateway: Any) -> None:
    lease_of = await gateway.create()
    source = await gateway.finish(await gateway.claim(), b"mp4")
    assert source.name == lease_of.name
    request = creation("from-another")
    request.spec.edit.source = source.name
    made = await gateway.videos.CreateVideo(request)
    await gateway.videos.DeleteVideo(video_service_pb2.DeleteVideoRequest(name=source.name))
    assert (await gateway.videos.CreateVideo(request)).name == made.name


async def test_no_request_id_makes_a_video_each_time(gateway: Any) -> None:
    names = {(await gateway.videos.CreateVideo(creation())).name for _ in range(3)}
    assert len(names) == 3


async def test_pages_hold_every_video_once_newest_first(gateway: Any) -> None:
    made = [(await gateway.videos.CreateVideo(creation())).name for _ in range(7)]
    seen: list[str] = []
    request = video_service_pb2.ListVideosRequest(page_size=3)
    while True:
        page = await gateway.videos.ListVideos(request)
        assert len(page.videos) <= 3
        seen += [video.name for video in page.videos]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == made[::-1]


async def test_list_filters_by_state_model_label_and_time(gateway: Any) -> None:
    red = await gateway.videos.CreateVideo(creation(labels={"team": "red", "take": "1"}))
    blue = await gateway.videos.CreateVideo(creation(labels={"team": "blue"}))
    await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=blue.name))

    async def listed(**fields: Any) -> list[str]:
        page = await gateway.videos.ListVideos(video_service_pb2.ListVideosRequest(**fields))
        return [video.name for video in page.videos]

    assert await listed(states=[video_pb2.Video.STATE_QUEUED]) == [red.name]
    assert await listed(states=[video_pb2.Video.STATE_CANCELLED]) == [blue.name]
    assert await listed(labels={"team": "red"}) == [red.name]
    assert await listed(labels={"team": "red", "take": "2"}) == []
    assert await listed(model="models/toybox") == [blue.name, red.name]
    assert await listed(model="models/other") == []
    assert await listed(create_time_from=blue.create_time) == [blue.name]
    assert await listed(create_time_until=blue.create_time) == [red.name]


async def test_page_that_would_not_fit_a_message_is_shorter(gateway: Any) -> None:
    words = {"prompt": "\U0001f600" * 2000, "negative_prompt": "\U0001f600" * 2000}
    labels = {f"key{k}": "\U0001f600" * 63 for k in range(32)}
    for _ in range(200):
        await gateway.videos.CreateVideo(creation(**words, labels=labels))
    request = video_service_pb2.ListVideosRequest(page_size=1000)
    first = await gateway.videos.ListVideos(request)
    assert 0 < len(first.videos) < 200
    request.page_token = first.next_page_token
    second = await gateway.videos.ListVideos(request)
    assert len({video.name for page in (first, second) for video in page.videos}) == 200


async def test_queued_video_is_cancelled_at_once(gateway: Any) -> None:
    video = await gateway.videos.CreateVideo(creation())
    request = video_service_pb2.CancelVideoRequest(name=video.name)
    cancelled = await gateway.videos.CancelVideo(request)
    assert cancelled.state == video_pb2.Video.STATE_CANCELLED
    assert await gateway.videos.CancelVideo(request) == cancelled


async def test_video_is_paused_and_resumed(gateway: Any) -> None:
    video = await gateway.videos.CreateVideo(creation())
    pause = video_service_pb2.PauseVideoRequest(name=video.name)
    paused = await gateway.videos.PauseVideo(pause)
    assert paused.state == video_pb2.Video.STATE_PAUSED
    assert await gateway.videos.PauseVideo(pause) == paused
    listing = video_service_pb2.ListVideosRequest(states=[video_pb2.Video.STATE_PAUSED])
    assert list((await gateway.videos.ListVideos(listing)).videos) == [paused]
    resume = video_service_pb2.ResumeVideoRequest(name=video.name)
    assert (await gateway.videos.ResumeVideo(resume)).state == video_pb2.Video.STATE_QUEUED


async def test_ended_video_is_neither_paused_nor_resumed(gateway: Any, refused: Refused) -> None:
    video = await gateway.videos.CreateVideo(creation())
    await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
    for call in (
        gateway.videos.PauseVideo(video_service_pb2.PauseVideoRequest(name=video.name)),
        gateway.videos.ResumeVideo(video_service_pb2.ResumeVideoRequest(name=video.name)),
    ):
        refusal = await refused(call)
        assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION


async def test_watch_goes_on_while_the_video_is_paused(gateway: Any) -> None:
    video = await gateway.videos.CreateVideo(creation())
    watch = gateway.videos.WatchVideo(video_service_pb2.WatchVideoRequest(name=video.name))
    states = []
    async for event in watch:
        if not event.HasField("state_changed"):
            continue
        states.append(event.state_changed.state)
        match event.state_changed.state:
            case video_pb2.Video.STATE_QUEUED if len(states) == 1:
                request = video_service_pb2.PauseVideoRequest(name=video.name)
                await gateway.videos.PauseVideo(request)
            case video_pb2.Video.STATE_PAUSED:
                request = video_service_pb2.ResumeVideoRequest(name=video.name)
                await gateway.videos.ResumeVideo(request)
            case video_pb2.Video.STATE_QUEUED:
                request = video_service_pb2.CancelVideoRequest(name=video.name)
                await gateway.videos.CancelVideo(request)
    assert [video_pb2.Video.State.Name(state) for state in states] == [
        "STATE_QUEUED",
        "STATE_PAUSED",
        "STATE_QUEUED",
        "STATE_CANCELLED",
    ]


async def test_video_that_starts_too_late_ends_though_there_is_no_worker(gateway: Any) -> None:
    spec = video_pb2.VideoSpec(prompt="a red circle", start_within=Duration(seconds=1))
    request = video_service_pb2.CreateVideoRequest(spec=spec)
    video = await gateway.videos.CreateVideo(request)
    assert video.spec.start_within == spec.start_within
    watch = gateway.videos.WatchVideo(video_service_pb2.WatchVideoRequest(name=video.name))
    events = [event async for event in watch]
    assert events[-1].state_changed.failure.reason == "START_DEADLINE_EXCEEDED"


async def test_deleted_video_is_gone_with_its_files(gateway: Any, refused: Refused) -> None:
    await gateway.create()
    video = await gateway.finish(await gateway.claim(), b"mp4")
    assert [path for path in gateway.objects_folder.rglob("*") if path.is_file()]
    await gateway.videos.DeleteVideo(video_service_pb2.DeleteVideoRequest(name=video.name))
    refusal = await refused(gateway.videos.GetVideo(get(video.name)))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    assert not [path for path in gateway.objects_folder.rglob("*") if path.is_file()]


async def test_video_whose_files_cannot_be_removed_can_be_deleted_again(
    gateway: Any, refused: Refused, tmp_path: Path
) -> None:
    await gateway.create()
    video = await gateway.finish(await gateway.claim(), b"mp4")
    request = video_service_pb2.DeleteVideoRequest(name=video.name)
    folder, aside = gateway.objects_folder, tmp_path / "aside"
    folder.rename(aside)
    folder.symlink_to(folder)  # a loop, in which nothing can be reached
    refusal = await refused(gateway.videos.DeleteVideo(request))
    assert refusal.code == grpc.StatusCode.UNAVAILABLE
    folder.unlink()
    aside.rename(folder)
    await gateway.videos.DeleteVideo(request)
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert (await refused(gateway.videos.GetVideo(get(video.name)))).code == (
        grpc.StatusCode.NOT_FOUND
    )


async def test_queued_video_cannot_be_deleted(gateway: Any, refused: Refused) -> None:
    video = await gateway.videos.CreateVideo(creation())
    request = video_service_pb2.DeleteVideoRequest(name=video.name)
    refusal = await refused(gateway.videos.DeleteVideo(request))
    assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "WRONG_STATE"
    assert await gateway.videos.GetVideo(get(video.name))


async def collect(call: Any, limit: int | None = None) -> list[video_pb2.VideoEvent]:
    events = []
    async for event in call:
        if event.event_id:
            events.append(event)
        if len(events) == limit:
            call.cancel()
            break
    return events


def watch(name: str, **fields: Any) -> video_service_pb2.WatchVideoRequest:
    return video_service_pb2.WatchVideoRequest(name=name, **fields)


async def test_watcher_sees_past_and_coming_events_until_the_end(gateway: Any) -> None:
    video = await gateway.create()
    watching = asyncio.create_task(collect(gateway.videos.WatchVideo(watch(video.name))))
    lease = await gateway.claim()
    await gateway.jobs.enter_stage(lease, video_pb2.STAGE_DENOISING)
    for step_index in range(1, 5):
        await gateway.step(lease, step_index, preview=b"picture" if step_index == 2 else b"")
    await gateway.finish(lease, b"mp4")
    kinds = [event.WhichOneof("event") for event in await watching]
    assert kinds == [
        "state_changed",
        "state_changed",
        "stage_changed",
        *["step_finished"] * 2,
        "preview",
        *["step_finished"] * 2,
        "artifact_ready",
        "state_changed",
    ]


async def test_watcher_that_reconnects_sees_every_event_once_and_in_order(gateway: Any) -> None:
    video = await gateway.create()
    lease = await gateway.claim()

    async def work() -> None:
        for step_index in range(1, 31):
            await gateway.step(lease, step_index)
            await asyncio.sleep(0.002)
        await gateway.finish(lease, b"mp4")

    working = asyncio.create_task(work())
    seen: list[video_pb2.VideoEvent] = []
    while not (seen and seen[-1].state_changed.state == video_pb2.Video.STATE_SUCCEEDED):
        after = seen[-1].event_id if seen else ""
        call = gateway.videos.WatchVideo(watch(video.name, after_event_id=after))
        seen += await collect(call, limit=5)
    await working
    steps = [e.step_finished.step_index for e in seen if e.HasField("step_finished")]
    assert steps == list(range(1, 31))
    assert len({event.event_id for event in seen}) == len(seen)
    whole = await collect(gateway.videos.WatchVideo(watch(video.name)))
    assert seen == whole


async def test_previews_can_be_left_out(gateway: Any) -> None:
    video = await gateway.create()
    lease = await gateway.claim()
    await gateway.step(lease, 1, preview=b"picture")
    await gateway.finish(lease, b"mp4")
    events = await collect(gateway.videos.WatchVideo(watch(video.name, is_preview_omitted=True)))
    assert "preview" not in {event.WhichOneof("event") for event in events}
    assert len(await collect(gateway.videos.WatchVideo(watch(video.name)))) == len(events) + 1


async def test_watcher_of_a_running_video_can_leave(gateway: Any) -> None:
    video = await gateway.create()
    call = gateway.videos.WatchVideo(watch(video.name))
    assert len(await collect(call, limit=1)) == 1
    assert call.cancelled()
    assert (await gateway.create()).queue_position == 1


async def test_two_watchers_see_the_same(gateway: Any) -> None:
    video = await gateway.create()
    tasks = [
        asyncio.create_task(collect(gateway.videos.WatchVideo(watch(video.name)))) for _ in range(2)
    ]
    lease = await gateway.claim()
    await gateway.step(lease, 1)
    await gateway.finish(lease, b"mp4")
    first, second = await asyncio.gather(*tasks)
    assert first == second
