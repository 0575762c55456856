"""Videos made from other videos, by HTTP."""

from typing import Any

import pytest
from httpx2 import AsyncClient

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)


async def finished(gateway: Any, **fields: Any) -> str:
    video = await gateway.create(**fields)
    await gateway.finish(await gateway.claim(), b"mp4")
    video_id: str = video.name.removeprefix("videos/")
    return video_id


async def test_remix_edits_the_source_with_its_options(gateway: Any, http: AsyncClient) -> None:
    source = await finished(gateway, num_inference_steps=7, guidance_scale=3, seed=5)
    answer = await http.post(
        f"/v1/videos/{source}/remix", json={"prompt": "a blue one", "guidance_scale": 2.0}
    )
    assert answer.status_code == 202, answer.text
    video = answer.json()
    assert (video["prompt"], video["remixed_from_video_id"]) == ("a blue one", source)
    assert (video["num_inference_steps"], video["guidance_scale"]) == (7, 2.0)
    spec = (await gateway.jobs.get(f"videos/{video['id']}")).spec
    assert spec.edit.source == f"videos/{source}"
    assert spec.edit.strength == video["strength"] == 0.7
    assert (video["video"], video["extension"]) == ({"id": source, "file_id": None}, None)
    assert video["seconds"] == (await http.get(f"/v1/videos/{source}")).json()["seconds"]


async def test_edit_takes_a_video_by_its_id(gateway: Any, http: AsyncClient) -> None:
    source = await finished(gateway)
    fields = {"prompt": "bluer", "video[id]": source, "strength": "0.3"}
    answer = await http.post("/v1/videos/edits", files={k: (None, v) for k, v in fields.items()})
    assert answer.status_code == 202, answer.text
    spec = (await gateway.jobs.get(f"videos/{answer.json()['id']}")).spec
    assert (spec.edit.source, spec.edit.strength) == (f"videos/{source}", 0.3)


async def test_edit_takes_a_file(gateway: Any, http: AsyncClient) -> None:
    answer = await http.post(
        "/v1/videos/edits", data={"prompt": "bluer"}, files={"video": ("a.mp4", MP4)}
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["remixed_from_video_id"] is None
    named = answer.json()["video"]
    spec = (await gateway.jobs.get(f"videos/{answer.json()['id']}")).spec
    assert named == {"id": None, "file_id": spec.edit.source}
    assert (await gateway.objects.stat(spec.edit.source)).size_bytes == len(MP4)


async def test_extension_shows_the_length_of_the_whole(gateway: Any, http: AsyncClient) -> None:
    source = await finished(gateway)
    answer = await http.post(
        "/v1/videos/extensions",
        json={"prompt": "goes on", "seconds": "0.5", "video": {"id": source}},
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["num_frames"] == 33 + 8
    assert answer.json()["strength"] is None
    added = answer.json()["extension"]
    assert (added.pop("seconds"), added.pop("num_frames")) == ("0.5", 8)
    extend = (await gateway.jobs.get(f"videos/{answer.json()['id']}")).spec.extend
    assert added == {
        "num_context_frames": extend.num_context_frames,
        "num_overlap_frames": extend.num_overlap_frames,
    }
    assert float(answer.json()["seconds"]) > 2


async def test_extension_does_not_take_the_source_s_guidance(
    gateway: Any, http: AsyncClient
) -> None:
    source = await finished(gateway, num_inference_steps=7, guidance_scale=3)
    guidance = []
    for more in ({}, {"guidance_scale": 2.0}):
        asked = {"prompt": "goes on", "seconds": "0.5", "video": {"id": source}, **more}
        answer = await http.post("/v1/videos/extensions", json=asked)
        assert answer.status_code == 202, answer.text
        assert answer.json()["num_inference_steps"] == 7
        guidance.append(answer.json()["guidance_scale"])
    assert guidance[0] != 3
    assert guidance[1] == 2


async def test_extension_of_a_file_needs_the_length_of_the_whole(
    gateway: Any, http: AsyncClient
) -> None:
    sent = {"data": {"prompt": "on", "seconds": "0.5"}, "files": {"video": ("a.mp4", MP4)}}
    refused = await http.post("/v1/videos/extensions", **sent)  # type: ignore[arg-type]
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "total_seconds")
    sent["data"]["total_seconds"] = "1.5"
    answer = await http.post("/v1/videos/extensions", **sent)  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text


BAD = [
    ("edits", {"prompt": "x"}, 400, "video"),
    ("edits", {"prompt": "x", "video": {"id": "nope"}}, 400, "video.id"),
    ("edits", {"prompt": "x", "video": {"id": "SOURCE"}, "strength": 2.0}, 400, "strength"),
    ("edits", {"prompt": "x", "video": {"id": "QUEUED"}}, 409, "video"),
    ("extensions", {"prompt": "x", "video": {"id": "SOURCE"}}, 400, "seconds"),
    ("extensions", {"prompt": "x", "video": {"id": "SOURCE"}, "seconds": "0"}, 400, "seconds"),
    ("extensions", {"prompt": "x", "video": {"id": "SOURCE"}, "seconds": "99"}, 400, "seconds"),
    ("extensions", {"prompt": "x", "video": {"id": "SOURCE"}, "seconds": "9999"}, 400, "seconds"),
    ("extensions", {"prompt": "x", "video": {"id": "SOURCE"}, "seconds": "99999"}, 400, "seconds"),
    ("SOURCE/remix", {}, 400, "prompt"),
    ("nope/remix", {"prompt": "x"}, 404, "video_id"),
    ("QUEUED/remix", {"prompt": "x"}, 409, "video_id"),
]


@pytest.mark.parametrize(("path", "body", "status", "param"), BAD)
async def test_bad_request_names_its_field(
    gateway: Any,
    http: AsyncClient,
    path: str,
    body: dict[str, Any],
    status: int,
    param: str,
) -> None:
    ids = {"SOURCE": await finished(gateway)}
    ids["QUEUED"] = (await gateway.create()).name.removeprefix("videos/")
    if "video" in body:
        body = body | {"video": {"id": ids.get(body["video"]["id"], body["video"]["id"])}}
    for word, video_id in ids.items():
        path = path.replace(word, video_id)
    answer = await http.post(f"/v1/videos/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_characters_are_not_implemented_and_not_retried(http: AsyncClient) -> None:
    made = await http.post("/v1/videos/characters", files={"name": (None, "x")})
    read = await http.get("/v1/videos/characters/x")
    assert made.status_code == read.status_code == 501
    assert made.headers["x-should-retry"] == "false"
    assert made.json()["error"]["code"] == "not_implemented"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("{source}/remix", {}, "video_id"),
        ("edits", {"video": {"id": "{source}"}}, "video"),
        ("extensions", {"video": {"id": "{source}"}, "seconds": "1"}, "video"),
    ],
)
async def test_source_that_is_not_ready_is_named_as_the_route_names_it(
    gateway: Any, http: AsyncClient, path: str, body: dict[str, Any], param: str
) -> None:
    source = (await gateway.create()).name.removeprefix("videos/")
    if "video" in body:
        body = body | {"video": {"id": source}}
    answer = await http.post(
        f"/v1/videos/{path.format(source=source)}", json={"prompt": "x", **body}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (409, param)
    assert error["message"] == f"{param}: videos/{source} is QUEUED, not SUCCEEDED"
