"""A realtime video is sent by HTTP while it is made."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient, ReadError, RemoteProtocolError
from live_worker import LiveWorker

from telecine.v1 import video_pb2, video_service_pb2

PIECES = [b"header" * 100, b"first" * 1000, b"last" * 500]


@pytest.fixture
async def worker(gateway: Any) -> LiveWorker:
    await gateway.create(tier=video_pb2.TIER_REALTIME)
    return await LiveWorker.claim(gateway.jobs, gateway.objects)


async def test_each_piece_comes_when_it_is_announced(http: AsyncClient, worker: LiveWorker) -> None:
    content = b""
    async with asyncio.timeout(30), http.stream("GET", f"/v1/{worker.name}/live") as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        assert "content-length" not in answer.headers
        chunks = answer.aiter_raw()
        for piece in PIECES:
            await worker.announce(piece)
            while len(content) < len(worker.content):
                content += await anext(chunks)
        await worker.complete()
        assert [chunk async for chunk in chunks] == []
    assert content == b"".join(PIECES)


async def test_file_that_has_ended_is_sent_by_parts_too(
    http: AsyncClient, worker: LiveWorker
) -> None:
    await worker.announce(PIECES[0])
    await worker.complete()
    whole = await http.get(f"/v1/{worker.name}/live")
    assert (whole.status_code, whole.content) == (200, PIECES[0])
    part = await http.get(f"/v1/{worker.name}/live", headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, PIECES[0][1:4])


async def test_answer_breaks_off_where_the_video_ends_without_its_file(
    gateway: Any, http: AsyncClient, worker: LiveWorker
) -> None:
    with pytest.raises((ReadError, RemoteProtocolError)):
        async with asyncio.timeout(30), http.stream("GET", f"/v1/{worker.name}/live") as answer:
            await worker.announce(PIECES[0])
            chunks = answer.aiter_raw()
            assert await anext(chunks)
            cancel = video_service_pb2.CancelVideoRequest(name=worker.name)
            await gateway.videos.CancelVideo(cancel)
            await gateway.jobs.acknowledge_cancel(worker.lease)
            async for _ in chunks:
                pass


async def test_video_of_another_tier_has_no_live_file(gateway: Any, http: AsyncClient) -> None:
    video = await gateway.create()
    answer = await http.get(f"/v1/{video.name}/live")
    assert answer.status_code == 404


async def test_head_says_what_would_come(http: AsyncClient, worker: LiveWorker) -> None:
    answer = await http.head(f"/v1/{worker.name}/live")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
