"""`n`: several videos of one request, all or none, and a list as the answer."""

from typing import Any

import pytest
from httpx2 import AsyncClient

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
BODY = {"prompt": "a red circle", "seed": 7}


async def ids_of(http: AsyncClient, body: dict[str, Any], **headers: str) -> list[str]:
    answer = await http.post("/v1/videos", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return [video["id"] for video in answer.json()["data"]]


async def test_each_has_a_seed_of_its_own(http: AsyncClient) -> None:
    answer = (await http.post("/v1/videos", json={**BODY, "n": 3})).json()
    assert (answer["object"], answer["has_more"]) == ("list", False)
    assert [video["seed"] for video in answer["data"]] == [7, 8, 9]
    assert answer["first_id"] == answer["data"][0]["id"]
    listed = (await http.get("/v1/videos")).json()["data"]
    assert {video["id"] for video in listed} == {video["id"] for video in answer["data"]}


async def test_a_form_may_ask_for_several_too_even_for_one(http: AsyncClient) -> None:
    answer = await http.post("/v1/videos", data={"prompt": "x", "n": "1"})
    assert len(answer.json()["data"]) == 1


async def test_one_picture_begins_them_all_and_is_stored_once(
    gateway: Any, http: AsyncClient
) -> None:
    form = {"data": {"prompt": "x", "n": "2"}, "files": {"input_reference": PNG}}
    key = {"idempotency-key": "k"}
    first = await http.post("/v1/videos", headers=key, **form)
    again = await http.post("/v1/videos", headers=key, **form)
    ids = [video["id"] for video in first.json()["data"]]
    assert [video["id"] for video in again.json()["data"]] == ids
    images = {(await gateway.jobs.get(f"videos/{id_}")).spec.input_image for id_ in ids}
    assert len(images) == len(list((gateway.objects_folder / "media").glob("[!.]*"))) == 1


async def test_repeat_by_its_key_returns_the_same_and_another_number_is_422(
    http: AsyncClient,
) -> None:
    key = {"idempotency-key": "k" * 100}
    made = await ids_of(http, {**BODY, "n": 2}, **key)
    assert await ids_of(http, {**BODY, "n": 2}, **key) == made
    for other in ({**BODY, "n": 3}, BODY):
        answer = await http.post("/v1/videos", json=other, headers=key)
        assert answer.status_code == 422
    assert len((await http.get("/v1/videos")).json()["data"]) == 2


async def test_remixes_edits_and_extensions_may_be_several(gateway: Any, http: AsyncClient) -> None:
    source = (await http.post("/v1/videos", json={**BODY, "seconds": "1"})).json()["id"]
    await gateway.finish(await gateway.claim(), b"mp4")
    video = {"video": {"id": source}}
    for path, more in ((f"{source}/remix", {}), ("edits", video), ("extensions", video)):
        body = {"prompt": "x", "n": 2, **more}
        if path == "extensions":
            body["seconds"] = "0.5"
        answer = await http.post(f"/v1/videos/{path}", json=body)
        assert len(answer.json()["data"]) == 2, answer.text


class TestTenantWithRoomForTwo:
    @pytest.fixture
    def sections(self) -> dict[str, Any]:
        return {"quota": {"max_open_videos": 2}}

    async def test_all_are_made_or_none(self, gateway: Any, http: AsyncClient) -> None:
        form = {"data": {"prompt": "x", "n": "3"}, "files": {"input_reference": PNG}}
        assert (await http.post("/v1/videos", **form)).status_code == 429
        assert (await http.get("/v1/videos")).json()["data"] == []
        assert list((gateway.objects_folder / "media").glob("[!.]*")) == []
        assert (await http.get("/v1/usage")).json()["stored_bytes"] == 0
