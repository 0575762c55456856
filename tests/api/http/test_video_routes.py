"""Videos by HTTP, in the dialect of /v1/videos, on a real gateway."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from telecine.v1 import video_pb2

PROMPT = "a red circle moves left"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
DIALECT = {
    "id", "object", "created_at", "completed_at", "expires_at", "model", "status", "progress",
    "prompt", "seconds", "size", "remixed_from_video_id", "error",
}  # fmt: skip


async def made(http: AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post("/v1/videos", json={"prompt": PROMPT, **fields})
    assert answer.status_code == 202, answer.text
    video: dict[str, Any] = answer.json()
    return video


async def test_created_video_has_the_fields_of_the_dialect_and_ours(http: AsyncClient) -> None:
    video = await made(http, seed=7)
    assert set(video) >= DIALECT
    assert (video["object"], video["status"], video["progress"]) == ("video", "queued", 0)
    assert (video["model"], video["seconds"], video["size"]) == ("toybox", "2", "128x128")
    assert (video["job_id"], video["seed"], video["num_frames"]) == (video["id"], 7, 33)
    base = f"{http.base_url}/v1/videos/{video['id']}".replace("//v1", "/v1")
    assert video["events_url"] == f"{base}/events"
    assert video["websocket_url"] == f"{base}/ws".replace("http", "ws", 1)
    assert video["video_url"] is video["thumbnail_url"] is None


async def test_form_and_json_ask_for_the_same_video(gateway: Any, http: AsyncClient) -> None:
    options = {
        "prompt": PROMPT, "model": "toybox", "size": "128x128", "seconds": "1.5",
        "negative_prompt": "blue", "seed": 3, "num_inference_steps": 5, "guidance_scale": 2.5,
        "fps": 8, "sampler": "euler", "tier": "premium", "audio_mode": "none", "upscale": 2,
        "labels": {"team": "red"}, "start_within": 30, "output_formats": ["mp4_h264"],
    }  # fmt: skip
    await made(http, **options)
    flat = options | {"labels[team]": "red", "output_formats[]": "mp4_h264"}
    form = {k: (None, str(v)) for k, v in flat.items() if k not in {"labels", "output_formats"}}
    answer = await http.post("/v1/videos", files=form)
    assert answer.status_code == 202, answer.text
    listed = (await http.get("/v1/videos")).json()["data"]
    specs = [(await gateway.jobs.get(f"videos/{video['id']}")).spec for video in listed]
    assert specs[0] == specs[1]
    assert (specs[0].duration.ToMilliseconds(), specs[0].seed, specs[0].upscale) == (1500, 3, 2)
    assert specs[0].start_within.seconds == 30


BAD_JSON = [
    ({"prompt": ""}, "prompt"),
    ({}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"prompt": "x", "seed": "7"}, "seed"),
    ({"prompt": "x", "seed": -1}, "seed"),
    ({"prompt": "x", "seed": 2**70}, "seed"),
    ({"prompt": "x", "seconds": "soon"}, "seconds"),
    ({"prompt": "x", "seconds": 0}, "seconds"),
    ({"prompt": "x", "seconds": 10_000}, "seconds"),
    ({"prompt": "x", "size": "large"}, "size"),
    ({"prompt": "x", "size": "1280x720"}, "size"),
    ({"prompt": "x", "model": "sora-2"}, "model"),
    ({"prompt": "x", "model": "../x"}, "model"),
    ({"prompt": "x", "num_inference_steps": 2**40}, "num_inference_steps"),
    ({"prompt": "x", "guidance_scale": 99}, "guidance_scale"),
    ({"prompt": "x", "tier": "gold"}, "tier"),
    ({"prompt": "x", "labels": {"A": "b"}}, "labels"),
    ({"prompt": "x", "loras": ["none"]}, "loras[0].name"),
    ({"prompt": "x", "loras": ["none", "none=strong"]}, "loras[1]"),
    ({"prompt": "x", "colour": "red"}, "colour"),
    ({"prompt": "x", "duration": 2}, "duration"),
    ({"prompt": "x", "input_reference": {}}, "input_reference"),
    ({"prompt": "x", "input_reference": {"file_id": "nope"}}, "input_reference"),
    ({"prompt": "x", "input_reference": {"image_url": "data:,x"}}, "input_reference.image_url"),
]


@pytest.mark.parametrize(("body", "param"), BAD_JSON)
async def test_bad_field_is_named(http: AsyncClient, body: dict[str, Any], param: str) -> None:
    answer = await http.post("/v1/videos", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_field")
    assert error["message"].startswith(f"{param}: ")
    assert answer.headers["x-request-id"].startswith("req_")


async def test_number_that_is_none_in_a_form_is_named(http: AsyncClient) -> None:
    answer = await http.post("/v1/videos", data={"prompt": "x", "seed": "seven"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "seed")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_body_that_is_no_json_object_is_refused(http: AsyncClient, body: bytes) -> None:
    answer = await http.post(
        "/v1/videos", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body")


async def test_body_of_another_type_is_refused(http: AsyncClient) -> None:
    answer = await http.post("/v1/videos", content=b"x", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


async def test_picture_of_a_form_is_stored_as_an_upload(gateway: Any, http: AsyncClient) -> None:
    answer = await http.post(
        "/v1/videos",
        data={"prompt": PROMPT},
        files={"input_reference": ("upload", PNG, "application/octet-stream")},
    )
    assert answer.status_code == 202, answer.text
    video = await gateway.jobs.get(f"videos/{answer.json()['id']}")
    assert b"".join([part async for part in gateway.objects.read(video.spec.input_image)]) == PNG


async def test_picture_in_a_data_url_is_stored_as_an_upload(
    gateway: Any, http: AsyncClient
) -> None:
    url = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
    fields = {"prompt": PROMPT, "input_reference[image_url]": url}
    answer = await http.post("/v1/videos", files={k: (None, v) for k, v in fields.items()})
    assert answer.status_code == 202, answer.text
    video = await gateway.jobs.get(f"videos/{answer.json()['id']}")
    assert (await gateway.objects.stat(video.spec.input_image)).size_bytes == 16


async def test_file_that_is_no_picture_is_refused_and_leaves_nothing(
    gateway: Any, http: AsyncClient
) -> None:
    answer = await http.post(
        "/v1/videos", data={"prompt": PROMPT}, files={"input_reference": ("a.png", b"<svg>")}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_reference")
    assert not [key async for key in gateway.objects.list_keys()]


async def test_refused_request_leaves_no_upload(gateway: Any, http: AsyncClient) -> None:
    answer = await http.post(
        "/v1/videos",
        data={"prompt": PROMPT, "size": "8x8"},
        files={"input_reference": ("a.png", PNG)},
    )
    assert answer.status_code == 400
    assert not [key async for key in gateway.objects.list_keys()]


async def test_same_key_and_body_make_one_video(gateway: Any, http: AsyncClient) -> None:
    headers = {"Idempotency-Key": "order/1"}
    sent = {"data": {"prompt": PROMPT}, "files": {"input_reference": ("a.png", PNG)}}
    first = await http.post("/v1/videos", headers=headers, **sent)  # type: ignore[arg-type]
    second = await http.post("/v1/videos", headers=headers, **sent)  # type: ignore[arg-type]
    assert first.json()["id"] == second.json()["id"]
    assert len([key async for key in gateway.objects.list_keys()]) == 1


@pytest.mark.parametrize("key", ["order-1", "a_key/of_another_form!", "k" * 255])
async def test_same_key_with_another_body_is_refused(http: AsyncClient, key: str) -> None:
    headers = {"Idempotency-Key": key}
    first = await http.post("/v1/videos", json={"prompt": PROMPT}, headers=headers)
    again = await http.post("/v1/videos", json={"prompt": PROMPT}, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    other = await http.post("/v1/videos", json={"prompt": "other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["param"]) == (422, "Idempotency-Key")


async def test_pages_hold_every_video_once_in_either_order(http: AsyncClient) -> None:
    ids = [(await made(http))["id"] for _ in range(5)]
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 2, "order": order}
        while True:
            page = (await http.get("/v1/videos", params=query)).json()
            shown = [video["id"] for video in page["data"]]
            assert (page["first_id"], page["last_id"]) == (shown[0], shown[-1])
            seen += shown
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        assert seen == expected


async def listed(http: AsyncClient, **query: Any) -> list[str]:
    answer = await http.get("/v1/videos", params=query)
    assert answer.status_code == 200, answer.text
    return [video["id"] for video in answer.json()["data"]]


async def test_list_has_the_filters_of_list_videos(gateway: Any, http: AsyncClient) -> None:
    red = (await made(http, labels={"team": "red", "take": "1"}))["id"]
    blue = (await made(http, labels={"team": "blue"}))["id"]
    await http.post(f"/v1/videos/{blue}/cancel")
    paused = (await made(http))["id"]
    await http.post(f"/v1/videos/{paused}/pause")
    assert await listed(http, status="queued") == [paused, red]
    assert await listed(http, status="failed") == [blue]
    assert await listed(http, status=["queued", "failed"]) == [paused, blue, red]
    assert await listed(http, status="completed") == []
    assert await listed(http, model="toybox") == [paused, blue, red]
    assert await listed(http, model="models/other") == []
    assert await listed(http, **{"label[team]": "red"}) == [red]
    assert await listed(http, **{"label[team]": "red", "label[take]": "2"}) == []
    created = (await http.get(f"/v1/videos/{red}")).json()["created_at"]
    assert await listed(http, created_after=created, order="asc") == [red, blue, paused]
    assert await listed(http, created_before=created) == []
    assert await listed(http, created_before=created + 60) == [paused, blue, red]
    assert await listed(http, created_after=created + 60) == []


async def test_pages_keep_to_their_filters(http: AsyncClient) -> None:
    ids = [(await made(http, labels={"set": str(place % 2)}))["id"] for place in range(4)]
    created = (await http.get(f"/v1/videos/{ids[0]}")).json()["created_at"]
    query = {"label[set]": "0", "limit": 1, "created_after": created}
    for order, (first, second) in (("asc", ids[::2]), ("desc", ids[2::-2])):
        for until in (created + 60, created + 120):
            sent = {**query, "order": order, "created_before": until}
            assert await listed(http, **sent) == [first]
            assert await listed(http, **sent, after=first) == [second]
            assert await listed(http, **sent, after=second) == []
    assert await listed(http, after=ids[3], created_before=created) == []
    assert await listed(http, after=ids[0], order="asc", created_after=created + 60) == []


async def test_empty_page_has_no_ids(http: AsyncClient) -> None:
    page = (await http.get("/v1/videos")).json()
    assert page == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=nope", "after"),
        ("status=done", "status"),
        ("status=queued&status=RUNNING", "status"),
        ("model=../x", "model"),
        ("created_after=yesterday", "created_after"),
        ("created_before=-1", "created_before"),
        ("created_before=253402300800", "created_before"),
        ("label[A]=red", "label"),
        ("label[team]=a&label[team]=b", "label[team]"),
        ("label=red", "label"),
        ("labels[team]=red", "labels[team]"),
        ("state=QUEUED", "state"),
        ("page_size=2", "page_size"),
        ("=x", "query"),
    ],
)
async def test_bad_query_is_named(http: AsyncClient, query: str, param: str) -> None:
    answer = await http.get(f"/v1/videos?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_running_video_is_in_progress_and_says_when_to_ask_again(
    gateway: Any, http: AsyncClient
) -> None:
    video = await made(http)
    lease = await gateway.claim()
    await gateway.step(lease, 2)
    answer = await http.get(f"/v1/videos/{video['id']}")
    shown = answer.json()
    assert (shown["status"], shown["state"], shown["step_index"]) == ("in_progress", "RUNNING", 2)
    assert 0 < shown["progress"] < 100
    assert 250 <= int(answer.headers["openai-poll-after-ms"]) <= 5000


async def test_finished_video_is_completed_with_its_addresses(
    gateway: Any, http: AsyncClient
) -> None:
    video = await made(http)
    await gateway.finish(await gateway.claim(), b"mp4", thumbnail=b"webp")
    answer = await http.get(f"/v1/videos/{video['id']}")
    shown = answer.json()
    assert (shown["status"], shown["progress"], shown["error"]) == ("completed", 100, None)
    assert shown["completed_at"] >= shown["created_at"]
    assert "openai-poll-after-ms" not in answer.headers
    assert (await http.get(shown["video_url"])).content == b"mp4"
    assert (await http.get(shown["thumbnail_url"])).content == b"webp"


async def test_every_option_is_shown_as_it_was_asked_for(http: AsyncClient) -> None:
    options = {
        "negative_prompt": "blue", "seed": 3, "num_inference_steps": 5, "guidance_scale": 2.5,
        "fps": 8, "sampler": "euler", "tier": "premium", "audio_mode": "none", "upscale": 2,
        "labels": {"team": "red"}, "start_within": "30.5", "expand_prompt": True,
        "output_formats": ["mp4_h264", "webm_vp9"], "loras": [], "prompt": PROMPT,
        "model": "toybox", "seconds": "1.5", "size": "128x128",
    }  # fmt: skip
    video = await made(http, **options)
    assert {name: video[name] for name in options} == options
    assert (video["attention"], video["artifacts"]) == ("full", [])
    for name in ("input_reference", "input_audio", "video", "strength", "extension"):
        assert video[name] is None
    plain = await made(http)
    assert plain["output_formats"] == ["mp4_h264"]
    assert (plain["start_within"], plain["expand_prompt"]) == (None, False)


async def test_upload_that_a_video_begins_with_is_shown_as_it_is_named(http: AsyncClient) -> None:
    media = (await http.post("/v1/media", files={"file": ("a.png", PNG)})).json()
    named = {"file_id": f"media/{media['id']}"}
    video = await made(http, input_reference={"file_id": media["id"]})
    assert video["input_reference"] == named
    assert (await made(http, input_reference=named))["input_reference"] == named


async def test_finished_video_shows_its_files(gateway: Any, http: AsyncClient) -> None:
    video = await made(http, output_formats=["mp4_h264", "webm_vp9"])
    done = await gateway.finish(await gateway.claim(), b"mp4", webm=b"webm", thumbnail=b"webp")
    files = (await http.get(f"/v1/videos/{video['id']}")).json()["artifacts"]
    assert [(file["id"], file["kind"], file["content_type"]) for file in files] == [
        ("video.mp4", "video", "video/mp4"),
        ("video.webm", "video", "video/webm"),
        ("thumbnail.webp", "thumbnail", "image/webp"),
    ]
    assert [(file["size_bytes"], file["digest"]) for file in files] == [
        (artifact.size_bytes, artifact.digest) for artifact in done.artifacts
    ]


async def test_cancelled_video_is_failed_with_that_code(http: AsyncClient) -> None:
    video = await made(http)
    answer = await http.post(f"/v1/videos/{video['id']}/cancel")
    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["state"]) == (200, "failed", "CANCELLED")
    assert shown["error"]["code"] == "cancelled"
    refused = await http.post(f"/v1/videos/{video['id']}/pause")
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")


async def test_paused_video_counts_as_queued(http: AsyncClient) -> None:
    video = await made(http)
    paused = (await http.post(f"/v1/videos/{video['id']}/pause")).json()
    assert (paused["status"], paused["state"]) == ("queued", "PAUSED")
    resumed = (await http.post(f"/v1/videos/{video['id']}/resume")).json()
    assert (resumed["status"], resumed["state"]) == ("queued", "QUEUED")


async def test_video_that_has_ended_is_deleted(http: AsyncClient) -> None:
    video = await made(http)
    refused = await http.delete(f"/v1/videos/{video['id']}")
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
    await http.post(f"/v1/videos/{video['id']}/cancel")
    deleted = await http.delete(f"/v1/videos/{video['id']}")
    assert deleted.json() == {"id": video["id"], "object": "video.deleted", "deleted": True}
    assert (await http.get(f"/v1/videos/{video['id']}")).status_code == 404


@pytest.mark.parametrize("path", ["a%0d%0ab", "..%5c..", "%2e%2e", "x" * 65, "-x"])
async def test_id_of_another_form_is_refused(http: AsyncClient, path: str) -> None:
    answer = await http.get(f"/v1/videos/{path}")
    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_failed_video_has_its_reason_in_lower_case(gateway: Any, http: AsyncClient) -> None:
    video = await made(http)
    lease = await gateway.claim()
    failure = video_pb2.Failure(reason="MODEL_FAILED", message="no luck")
    await gateway.jobs.fail(lease, failure)
    shown = (await http.get(f"/v1/videos/{video['id']}")).json()
    assert shown["error"] == {"code": "model_failed", "message": "no luck"}


class TestBehindAProxy:
    @pytest.fixture
    def gateway_settings(self) -> dict[str, Any]:
        return {"public_url": "https://telecine.example/media/"}

    async def test_addresses_are_those_that_clients_reach(
        self, gateway: Any, http: AsyncClient
    ) -> None:
        video = await made(http)
        await gateway.finish(await gateway.claim(), b"mp4", thumbnail=b"webp")
        shown = (await http.get(f"/v1/videos/{video['id']}")).json()
        base = f"telecine.example/media/v1/videos/{video['id']}"
        assert shown["video_url"] == f"https://{base}/content"
        assert shown["thumbnail_url"] == f"https://{base}/content?variant=thumbnail"
        assert shown["events_url"] == f"https://{base}/events"
        assert shown["websocket_url"] == f"wss://{base}/ws"
