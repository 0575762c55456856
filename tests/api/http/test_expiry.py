"""Videos that ended long ago go, where the settings say so."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient

from telecine.v1 import video_service_pb2


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    return {"video_kept_days": 1 / 86_400}


async def test_answer_by_rest_says_when(gateway: Any, http: AsyncClient) -> None:
    video = await gateway.create()
    assert (await http.get(f"/v1/{video.name}")).json()["expires_at"] is None
    await gateway.finish(await gateway.claim(), b"mp4")
    told = (await http.get(f"/v1/{video.name}")).json()
    assert told["expires_at"] - told["completed_at"] == 1


async def test_video_that_ended_goes_with_its_files_and_no_other(gateway: Any) -> None:
    await gateway.create()
    waiting = await gateway.create()
    ended = await gateway.finish(await gateway.claim(), b"mp4")
    listed = {ended.name, waiting.name}
    async with asyncio.timeout(20):
        while ended.name in listed:
            await asyncio.sleep(0.2)
            answer = await gateway.videos.ListVideos(video_service_pb2.ListVideosRequest())
            listed = {video.name for video in answer.videos}
    assert listed == {waiting.name}
    assert not [path for path in gateway.objects_folder.rglob("*") if path.is_file()]
