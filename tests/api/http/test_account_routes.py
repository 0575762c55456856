"""What videos would cost, what is used and what may be, by HTTP as by gRPC."""

from typing import Any

import pytest
from httpx2 import AsyncClient

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(60)
BODY = {"prompt": "a red circle", "seconds": "2"}


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"quota": {"daily_credits": 1, "tiers": ["standard", "batch"]}}


async def estimate(http: AsyncClient, **body: Any) -> Any:
    answer = await http.post("/v1/videos/estimate", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_estimate_is_what_is_reserved_then(http: AsyncClient) -> None:
    told = await estimate(http, **BODY)
    assert told["microcredits"] > 0
    assert told["available_microcredits"] == 1_000_000
    assert (told["seconds"], told["size"], told["num_frames"]) == ("2", "128x128", 33)
    video = (await http.post("/v1/videos", json=BODY)).json()
    assert video["estimated_microcredits"] == told["microcredits"]
    assert (video["model"], video["tier"]) == (told["model"], told["tier"])
    left = await estimate(http, **BODY)
    assert left["available_microcredits"] == 1_000_000 - told["microcredits"]


async def test_estimate_follows_the_options(http: AsyncClient) -> None:
    one = await estimate(http, **BODY)
    assert (await estimate(http, **BODY, n=3))["microcredits"] == 3 * one["microcredits"]
    assert (await estimate(http, seconds="2"))["microcredits"] == one["microcredits"]
    assert (await estimate(http, **BODY, tier="batch"))["microcredits"] < one["microcredits"]
    assert (await http.get("/v1/videos")).json()["data"] == []


async def test_edit_and_extension_are_priced_as_they_are_made(
    gateway: Any, http: AsyncClient
) -> None:
    source = (await http.post("/v1/videos", json={**BODY, "seconds": "1"})).json()["id"]
    await gateway.finish(await gateway.claim(), b"mp4")
    video = {"video": {"id": source}}
    for kind, path, more in (
        ("edit", "edits", {}),
        ("extend", "extensions", {"seconds": "0.5"}),
    ):
        told = await estimate(http, kind=kind, **video, **more)
        made = await http.post(f"/v1/videos/{path}", json={"prompt": "x", **video, **more})
        assert made.json()["estimated_microcredits"] == told["microcredits"]
        assert made.json()["num_frames"] == told["num_frames"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"seconds": "2000"}, "seconds"),
        ({"kind": "edit"}, "video"),
        ({"kind": "extend", "video": {"id": "ID"}}, "seconds"),
        ({"kind": "edit", "video": {"id": "nope"}}, "video.id"),
        ({"kind": "edit", "video": {}}, "video"),
        ({"kind": "other"}, "kind"),
        ({"strength": 0.5}, "strength"),
        ({"kind": "extend", "seconds": "1", "strength": 0.5}, "strength"),
        ({"input_reference": {"file_id": "nope"}}, "input_reference"),
        ({"n": 17}, "n"),
        ({"promt": "x"}, "promt"),
    ],
)
async def test_bad_estimate_names_its_field(
    gateway: Any, http: AsyncClient, body: dict[str, Any], param: str
) -> None:
    if "ID" in str(body):
        made = (await http.post("/v1/videos", json=BODY)).json()["id"]
        await gateway.finish(await gateway.claim(), b"mp4")
        body = {**body, "video": {"id": made}}
    answer = await http.post("/v1/videos/estimate", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_estimate_of_a_video_that_begins_with_an_upload(http: AsyncClient) -> None:
    media = (await http.post("/v1/media", files={"file": PNG})).json()
    told = await estimate(http, **BODY, input_reference={"file_id": media["id"]})
    assert told["microcredits"] > 0


async def test_usage_and_quota_are_those_of_the_account(http: AsyncClient) -> None:
    video = (await http.post("/v1/videos", json=BODY)).json()
    usage = (await http.get("/v1/usage")).json()
    assert usage["object"] == "usage"
    assert usage["reserved_microcredits"] == video["estimated_microcredits"]
    assert usage["num_open_videos"] == 1
    assert usage["day"]["limit_microcredits"] == 1_000_000
    assert usage["day"]["used_microcredits"] == video["estimated_microcredits"]
    assert usage["day"]["end_at"] - usage["day"]["start_at"] == 86_400
    assert usage["month"]["limit_microcredits"] is None
    quota = (await http.get("/v1/quota")).json()
    assert (quota["daily_microcredits"], quota["monthly_microcredits"]) == (1_000_000, None)
    assert quota["tiers"] == ["standard", "batch"]


async def test_ledger_tells_page_by_page_what_was_charged(gateway: Any, http: AsyncClient) -> None:
    made = [(await http.post("/v1/videos", json=BODY)).json() for _ in range(2)]
    await gateway.finish(await gateway.claim(), b"mp4")
    first = (await http.get("/v1/ledger", params={"limit": 2})).json()
    assert [entry["kind"] for entry in first["data"]] == ["settle", "reserve"]
    assert first["has_more"]
    rest = (await http.get("/v1/ledger", params={"after": first["last_id"]})).json()
    (entry,) = rest["data"]
    assert (entry["kind"], entry["video_id"]) == ("reserve", made[0]["id"])
    assert entry["amount_microcredits"] == made[0]["estimated_microcredits"]
    assert not rest["has_more"]


@pytest.mark.parametrize("after", ["x", "0-0", f"{'9' * 20}-0", f"0-{'9' * 20}", "\u0661-0"])
async def test_what_is_no_entry_of_the_ledger_is_named(http: AsyncClient, after: str) -> None:
    refused = await http.get("/v1/ledger", params={"after": after})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")


async def test_tier_that_the_tenant_does_not_have_is_named(http: AsyncClient) -> None:
    answer = await http.post("/v1/videos", json={**BODY, "tier": "premium"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (403, "tier")
    assert error["message"] == "tier: this tenant has STANDARD, BATCH only"


async def test_estimate_of_a_video_with_a_track_is_what_is_reserved_then(
    http: AsyncClient,
) -> None:
    media = await http.post("/v1/media", files={"file": ("a.wav", WAV)})
    asked = {**BODY, "input_audio": media.json()["id"], "audio_mode": "none"}
    told = await estimate(http, **asked)
    video = (await http.post("/v1/videos", json=asked)).json()
    assert video["estimated_microcredits"] == told["microcredits"]
    answer = await http.post("/v1/videos/estimate", json={**BODY, "input_audio": "nope"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_audio")
    form = await http.post("/v1/videos/estimate", files={"input_audio": ("a.wav", WAV)})
    assert (form.status_code, form.json()["error"]["param"]) == (400, "input_audio")
