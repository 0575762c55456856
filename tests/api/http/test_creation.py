"""What a request brings is kept once, for the video that is made from it."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from telecine.api.http import creation
from telecine.v1 import video_pb2

PROMPT = "a red circle moves left"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


@pytest.mark.parametrize(("prompt", "status"), [(PROMPT, 202), ("other", 422)])
async def test_same_key_twice_at_once_leaves_one_upload(
    gateway: Any, http: AsyncClient, monkeypatch: pytest.MonkeyPatch, prompt: str, status: int
) -> None:
    async def nothing_yet(*_: Any, **__: Any) -> list[video_pb2.Video]:
        return []

    monkeypatch.setattr(creation, "find_repeats", nothing_yet)
    headers = {"Idempotency-Key": "order/1"}
    files = {"input_reference": ("a.png", PNG)}
    first = await http.post("/v1/videos", headers=headers, data={"prompt": PROMPT}, files=files)
    second = await http.post("/v1/videos", headers=headers, data={"prompt": prompt}, files=files)
    assert second.status_code == status
    video = await gateway.jobs.get(f"videos/{first.json()['id']}")
    assert [key async for key in gateway.objects.list_keys()] == [video.spec.input_image]
    assert (await http.get("/v1/usage")).json()["stored_bytes"] == len(PNG)
