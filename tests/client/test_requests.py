import math
import mimetypes
from datetime import UTC, datetime
from pathlib import Path

import pytest

from telecine.client.requests import (
    UPLOAD_CHUNK_BYTES,
    VideoFilter,
    create_video_request,
    list_videos_request,
    upload_requests,
    video_spec,
)
from telecine.v1 import video_pb2


def test_every_option_reaches_the_spec() -> None:
    request = create_video_request(
        "a red circle",
        {
            "model": "toybox",
            "seed": 0,
            "num_inference_steps": 20,
            "guidance_scale": 4.5,
            "duration_seconds": 2.5,
            "start_within_seconds": 90.5,
            "fps": 8,
            "size": (128, 96),
            "labels": {"team": "film"},
            "output_formats": [video_pb2.OUTPUT_FORMAT_MP4_H264],
        },
        "mine",
    )
    spec = request.spec
    assert request.request_id == "mine"
    assert (spec.prompt, spec.model) == ("a red circle", "models/toybox")
    assert spec.HasField("seed")
    assert (spec.num_inference_steps, spec.guidance_scale, spec.fps) == (20, 4.5, 8)
    assert (spec.duration.seconds, spec.duration.nanos) == (2, 500_000_000)
    assert (spec.start_within.seconds, spec.start_within.nanos) == (90, 500_000_000)
    assert (spec.size.width, spec.size.height) == (128, 96)
    assert dict(spec.labels) == {"team": "film"}


def test_what_is_not_given_stays_unset() -> None:
    spec = create_video_request("a red circle", {}, None).spec
    assert spec == video_pb2.VideoSpec(prompt="a red circle")


def test_sources_become_an_edit_or_an_extension() -> None:
    edit = create_video_request("a cat", {"edit_source": "v1", "edit_strength": 0.3}, None).spec
    assert (edit.edit.source, edit.edit.strength) == ("videos/v1", 0.3)
    assert not edit.HasField("extend")
    longer = create_video_request(
        "a cat", {"extend_source": "media/m1", "extend_seconds": 1.5}, None
    ).spec
    assert (longer.extend.source, longer.extend.duration.nanos) == ("media/m1", 500_000_000)
    assert not longer.HasField("edit")


def test_adapters_are_named_with_their_scales() -> None:
    spec = create_video_request("a red circle", {"loras": {"sketch": 0.5, "grain": 1.0}}, None).spec
    assert [(lora.name, lora.scale) for lora in spec.loras] == [("sketch", 0.5), ("grain", 1.0)]


def test_each_request_without_an_id_gets_its_own() -> None:
    first, second = (create_video_request("a red circle", {}, None) for _ in range(2))
    assert first.request_id
    assert first.request_id != second.request_id


def test_a_filter_reaches_the_request() -> None:
    since = datetime(2026, 1, 2, tzinfo=UTC)
    video_filter = VideoFilter(
        states=[video_pb2.Video.STATE_FAILED], model="toybox", create_time_from=since
    )
    request = list_videos_request(video_filter, 7)
    assert request.page_size == 7
    assert list(request.states) == [video_pb2.Video.STATE_FAILED]
    assert request.model == "models/toybox"
    assert request.create_time_from.ToDatetime(tzinfo=UTC) == since
    assert not request.HasField("create_time_until")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("duration_seconds", math.nan),
        ("duration_seconds", math.inf),
        ("start_within_seconds", 1e300),
        ("extend_seconds", math.nan),
        ("seed", 2**64),
        ("seed", 1.5),
        ("num_inference_steps", 2**40),
        ("size", (2**40, 1)),
        ("size", "128x128"),
        ("loras", {"fast": "much"}),
        ("edit_strength", "much"),
        ("negative_prompt", "\ud800"),
        ("colour", "red"),
    ],
)
def test_a_value_that_no_request_can_hold_is_refused_by_its_option(
    option: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"^{option}: "):
        video_spec("a cat", {option: value})  # type: ignore[misc]


def test_an_upload_says_what_it_is_and_comes_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    path.write_bytes(b"x" * (UPLOAD_CHUNK_BYTES + 1))
    header, *chunks = upload_requests(path, None)
    assert header.header.content_type == "image/png"
    assert header.header.size_bytes == UPLOAD_CHUNK_BYTES + 1
    assert [len(chunk.data) for chunk in chunks] == [UPLOAD_CHUNK_BYTES, 1]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.wav", "audio/wav"),
        ("a.M4A", "audio/mp4"),
        ("a.opus", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.webp", "image/webp"),
    ],
)
def test_a_file_is_named_as_the_service_names_it(
    tmp_path: Path, name: str, content_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A system without a list of media types, as small containers are.
    monkeypatch.setattr("mimetypes._db", mimetypes.MimeTypes())
    path = tmp_path / name
    path.write_bytes(b"x")
    assert next(upload_requests(path, None)).header.content_type == content_type


def test_a_name_that_tells_no_type_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "still"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="content_type"):
        upload_requests(path, None)


def test_a_file_that_cannot_be_read_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        upload_requests(tmp_path / "none.png", None)
    with pytest.raises(IsADirectoryError):
        upload_requests(tmp_path, "image/png")


def test_a_request_names_who_is_told_of_its_end() -> None:
    request = create_video_request("a cat", {}, "once", webhook_url="https://app.example/told")
    assert (request.request_id, request.webhook_url) == ("once", "https://app.example/told")
