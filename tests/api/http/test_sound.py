"""Sound by REST: a track in a form, and what is told of voice and mouth."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from telecine.storage.keys import artifact_key
from telecine.v1 import model_pb2, video_pb2

PROMPT = "a red circle"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(60)
TRACK = {"input_audio": ("track", WAV, "application/octet-stream")}
PICTURE = {"input_reference": ("a.png", PNG)}


async def stored(gateway: Any) -> list[bytes]:
    keys = [key async for key in gateway.objects.list_keys()]
    return sorted([b"".join([part async for part in gateway.objects.read(key)]) for key in keys])


async def test_track_of_a_form_is_stored_as_an_upload_beside_a_picture(
    gateway: Any, http: AsyncClient
) -> None:
    answer = await http.post("/v1/videos", data={"prompt": PROMPT}, files=TRACK | PICTURE)
    assert answer.status_code == 202, answer.text
    video = answer.json()
    assert video["audio_mode"] == "none"
    spec = (await gateway.jobs.get(f"videos/{video['id']}")).spec
    assert video["input_audio"] == spec.input_audio
    assert await stored(gateway) == [WAV, PNG]
    named = await http.post("/v1/videos", json={"prompt": PROMPT, "input_audio": spec.input_audio})
    assert named.json()["input_audio"] == spec.input_audio


async def test_track_is_named_by_the_id_that_its_upload_was_answered_with(
    http: AsyncClient,
) -> None:
    media_id = (await http.post("/v1/media", files={"file": ("a.wav", WAV)})).json()["id"]
    for given in (media_id, f"media/{media_id}"):
        answer = await http.post("/v1/videos", json={"prompt": PROMPT, "input_audio": given})
        assert answer.status_code == 202, answer.text
        assert answer.json()["input_audio"] == f"media/{media_id}"


async def test_picture_is_made_to_a_track_of_a_form_by_a_model_that_can(
    gateway: Any, http: AsyncClient
) -> None:
    model = model_pb2.Model()
    model.CopyFrom(await gateway.directory.get("toybox"))
    model.limits.audio_modes.append(video_pb2.AUDIO_MODE_JOINT)
    model.features.append(model_pb2.Model.FEATURE_AUDIO_TO_VIDEO)
    await gateway.directory.publish(model, worker_id="w", ttl_seconds=60)
    data = {"prompt": PROMPT, "audio_mode": "joint"}
    answer = await http.post("/v1/videos", data=data, files=TRACK)
    assert answer.status_code == 202, answer.text
    video = answer.json()
    assert video["audio_mode"] == "joint"
    assert video["input_audio"].startswith("media/")
    (shown,) = (await http.get("/v1/models")).json()["data"]
    assert "audio_to_video" in shown["features"]


async def test_same_key_and_files_make_one_video_and_another_track_is_another_request(
    gateway: Any, http: AsyncClient
) -> None:
    headers = {"Idempotency-Key": "once"}
    sent = {"data": {"prompt": PROMPT}, "headers": headers}
    first = await http.post("/v1/videos", files=TRACK | PICTURE, **sent)  # type: ignore[arg-type]
    second = await http.post("/v1/videos", files=TRACK | PICTURE, **sent)  # type: ignore[arg-type]
    assert first.json()["id"] == second.json()["id"]
    assert len(await stored(gateway)) == 2
    other = {"input_audio": ("track", WAV + b"x")}
    third = await http.post("/v1/videos", files=other | PICTURE, **sent)  # type: ignore[arg-type]
    assert third.status_code == 422


@pytest.mark.parametrize(
    ("files", "fields", "param"),
    [
        ({"input_audio": ("a.wav", b"no sound")} | PICTURE, {}, "input_audio"),
        (TRACK | {"input_reference": ("a.png", b"<svg>")}, {}, "input_reference"),
        (TRACK | PICTURE, {"size": "8x8"}, "size"),
        (TRACK, {"audio_mode": "joint"}, "audio_mode"),
    ],
)
async def test_refused_request_leaves_none_of_its_files(
    gateway: Any, http: AsyncClient, files: Any, fields: dict[str, str], param: str
) -> None:
    answer = await http.post("/v1/videos", data={"prompt": PROMPT, **fields}, files=files)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert await stored(gateway) == []


async def test_edit_of_a_video_that_is_not_ready_leaves_no_track(
    gateway: Any, http: AsyncClient
) -> None:
    source = (await gateway.create()).name.removeprefix("videos/")
    data = {"prompt": PROMPT, "video[id]": source}
    answer = await http.post("/v1/videos/edits", data=data, files=TRACK)
    assert answer.status_code == 409
    assert await stored(gateway) == []


async def test_voice_and_mouth_are_told_with_the_video_and_as_a_file(
    gateway: Any, http: AsyncClient
) -> None:
    lease = await _claimed(gateway)
    video = await gateway.jobs.get(lease.video_name)
    object_ = await gateway.objects.put(artifact_key(video, "lip_sync.json"), b"{}")
    artifact = video_pb2.Artifact(
        artifact_id="lip_sync.json",
        kind=video_pb2.Artifact.KIND_LIP_SYNC,
        content_type="application/json",
        size_bytes=object_.size_bytes,
        digest=object_.digest,
    )
    viseme = video_pb2.Viseme(start_seconds=0.5, end_seconds=0.75, name="aa")
    lip_sync = video_pb2.LipSync(offset_seconds=-0.25, confidence=0.5, visemes=[viseme])
    assert (await _shown(http, video))["lip_sync"] is None
    await gateway.jobs.complete(lease, [artifact], lip_sync=lip_sync)
    assert (await _shown(http, video))["lip_sync"] == {
        "offset_seconds": -0.25,
        "confidence": 0.5,
        "visemes": [{"start_seconds": 0.5, "end_seconds": 0.75, "name": "aa"}],
    }
    url = f"/v1/{video.name}/content"
    content = await http.get(url, params={"variant": "lip_sync"})
    assert (content.headers["content-type"], content.json()) == ("application/json", {})


async def _claimed(gateway: Any) -> Any:
    await gateway.create()
    return await gateway.claim()


async def _shown(http: AsyncClient, video: video_pb2.Video) -> dict[str, Any]:
    answer = await http.get(f"/v1/{video.name}")
    shown: dict[str, Any] = answer.json()
    return shown
