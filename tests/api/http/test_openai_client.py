"""The official Python client, unmodified, against a gateway; the test acts as the worker."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture
async def client(gateway: Any) -> AsyncIterator[AsyncOpenAI]:
    """The client, as a person sets it up."""
    async with AsyncOpenAI(api_key="sk-test", base_url=f"{gateway.http_url}/v1") as client:
        yield client


async def work(gateway: Any) -> None:
    """Makes the next video, as a worker does, slowly enough to be polled."""
    lease = await gateway.claim()
    await asyncio.sleep(0.2)
    await gateway.finish(lease, b"mp4", thumbnail=b"thumbnail", spritesheet=b"sheet")


async def test_create_and_poll_ends_with_the_finished_video(
    gateway: Any, client: AsyncOpenAI
) -> None:
    making = asyncio.create_task(
        client.videos.create_and_poll(prompt="a red circle", model="toybox", seconds="1")  # type: ignore[arg-type]
    )
    while not (await client.videos.list()).data:  # noqa: ASYNC110 (the gateway tells nobody)
        await asyncio.sleep(0.01)
    await work(gateway)
    video = await making
    assert (video.status, video.progress, video.seconds) == ("completed", 100, "1")
    for variant, content in (
        ("video", b"mp4"),
        ("thumbnail", b"thumbnail"),
        ("spritesheet", b"sheet"),
    ):
        answer = await client.videos.download_content(video.id, variant=variant)  # type: ignore[arg-type]
        assert answer.content == content


async def test_polling_ends_when_the_video_is_cancelled(gateway: Any, client: AsyncOpenAI) -> None:
    video = await client.videos.create(prompt="a red circle")
    await client.post(f"/videos/{video.id}/cancel", cast_to=object)
    polled = await client.videos.poll(video.id)
    assert polled.status == "failed"
    assert polled.error is not None
    assert polled.error.code == "cancelled"


@pytest.mark.parametrize("reference", [io.BytesIO(PNG), ("a.png", PNG, "image/png")])
async def test_create_takes_a_picture_and_options_of_ours(
    gateway: Any, client: AsyncOpenAI, reference: Any
) -> None:
    video = await client.videos.create(
        prompt="a red circle",
        input_reference=reference,
        extra_body={"seed": 7, "num_inference_steps": 3, "labels": {"team": "red"}},
    )
    made = await gateway.jobs.get(f"videos/{video.id}")
    assert (made.spec.seed, made.spec.num_inference_steps) == (7, 3)
    assert (made.spec.labels["team"], made.spec.input_image[:6]) == ("red", "media/")
    assert video.seed == 7  # type: ignore[attr-defined]


async def test_list_pages_by_itself_and_delete_removes(gateway: Any, client: AsyncOpenAI) -> None:
    made = [(await client.videos.create(prompt=f"circle {k}")).id for k in range(5)]
    listed = [video.id async for video in client.videos.list(limit=2, order="asc")]
    assert listed == made
    assert (await client.videos.retrieve(made[0])).id == made[0]
    await client.post(f"/videos/{made[0]}/cancel", cast_to=object)
    deleted = await client.videos.delete(made[0])
    assert (deleted.id, deleted.object, deleted.deleted) == (made[0], "video.deleted", True)
    with pytest.raises(openai.NotFoundError) as raised:
        await client.videos.retrieve(made[0])
    assert raised.value.request_id is not None


async def test_list_goes_on_while_its_videos_are_deleted(client: AsyncOpenAI) -> None:
    for k in range(5):
        video = await client.videos.create(prompt=f"circle {k}")
        await client.post(f"/videos/{video.id}/cancel", cast_to=object)
    async for video in client.videos.list(limit=2):
        await client.videos.delete(video.id)
    assert (await client.videos.list()).data == []


async def test_remix_edit_and_extend_make_new_videos(gateway: Any, client: AsyncOpenAI) -> None:
    source = await client.videos.create(prompt="a red circle")
    await work(gateway)
    remix = await client.videos.remix(source.id, prompt="a blue one")
    assert remix.remixed_from_video_id == source.id
    edit = await client.videos.edit(prompt="greener", video=("a.mp4", MP4, "video/mp4"))
    assert edit.status == "queued"
    extension = await client.videos.extend(
        prompt="goes on",
        seconds="1",  # type: ignore[arg-type]
        video=("a.mp4", MP4, "video/mp4"),
        extra_body={"total_seconds": "2"},
    )
    assert extension.seconds == "2"


async def test_errors_are_the_client_s_own(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        await client.videos.create(prompt="x", size="8x8")  # type: ignore[arg-type]
    assert (bad.value.param, bad.value.code) == ("size", "invalid_field")
    headers = {"Idempotency-Key": "order-1"}
    await client.videos.create(prompt="x", extra_headers=headers)
    with pytest.raises(openai.UnprocessableEntityError):
        await client.videos.create(prompt="y", extra_headers=headers)
    queued = await client.videos.create(prompt="x")
    with pytest.raises(openai.ConflictError):
        await client.videos.download_content(queued.id)
    with pytest.raises(openai.APIStatusError) as refused:
        await client.videos.create_character(name="x", video=MP4)
    assert refused.value.status_code == 501


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["toybox"]
    assert (await client.models.retrieve("toybox")).owned_by == "telecine"
