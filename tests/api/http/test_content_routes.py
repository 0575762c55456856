"""A video's files by HTTP: variants, ranges, and what is told where there is none."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from telecine.v1 import video_pb2

CONTENT = bytes(range(256)) * 8192  # 2 MiB: more than a chunk


@pytest.fixture
async def content_url(gateway: Any) -> str:
    """Where a finished video's file is; it has a thumbnail and a sprite sheet too."""
    video = await gateway.create()
    await gateway.finish(
        await gateway.claim(), CONTENT, thumbnail=b"thumbnail", spritesheet=b"sheet"
    )
    return f"/v1/{video.name}/content"


async def test_whole_file_comes_with_its_size_and_type(http: AsyncClient, content_url: str) -> None:
    answer = await http.get(content_url, headers={"accept": "application/binary"})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"


async def test_variants_are_other_files(http: AsyncClient, content_url: str) -> None:
    thumbnail = await http.get(content_url, params={"variant": "thumbnail"})
    assert (thumbnail.headers["content-type"], thumbnail.content) == ("image/webp", b"thumbnail")
    sheet = await http.get(content_url, params={"variant": "spritesheet"})
    assert (sheet.headers["content-type"], sheet.content) == ("image/webp", b"sheet")
    unknown = await http.get(content_url, params={"variant": "poster"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "variant")


async def test_a_video_made_as_webm_too_is_an_mp4_unless_webm_is_asked_for(
    gateway: Any, http: AsyncClient
) -> None:
    video = await gateway.create()
    await gateway.finish(await gateway.claim(), b"mp4", webm=b"webm")
    for variant, content_type in (("video", "video/mp4"), ("webm", "video/webm")):
        answer = await http.get(f"/v1/{video.name}/content", params={"variant": variant})
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
        assert answer.content == content_type.removeprefix("video/").encode()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=2000000-", 2_000_000, len(CONTENT) - 1),
        ("bytes=-100", len(CONTENT) - 100, len(CONTENT) - 1),
        ("bytes=10-99999999999", 10, len(CONTENT) - 1),
    ],
)
async def test_part_of_the_file_is_sent(
    http: AsyncClient, content_url: str, asked: str, start: int, end: int
) -> None:
    answer = await http.get(content_url, headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, CONTENT[start : end + 1])
    assert answer.headers["content-range"] == f"bytes {start}-{end}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(end + 1 - start)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "frames=0-1", "bytes=-", "bytes=9-5", "x"])
async def test_range_of_another_form_gets_the_whole(
    http: AsyncClient, content_url: str, asked: str
) -> None:
    answer = await http.get(content_url, headers={"range": asked})
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=-0"])
async def test_range_past_the_end_is_refused(
    http: AsyncClient, content_url: str, asked: str
) -> None:
    answer = await http.get(content_url, headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_file_that_the_client_has_is_not_sent_again(
    http: AsyncClient, content_url: str
) -> None:
    etag = (await http.head(content_url)).headers["etag"]
    same = await http.get(content_url, headers={"if-none-match": etag})
    assert (same.status_code, same.content) == (304, b"")
    part = {"range": "bytes=0-0", "if-range": '"of another file"'}
    assert (await http.get(content_url, headers=part)).status_code == 200


async def test_head_says_the_same_without_bytes(http: AsyncClient, content_url: str) -> None:
    answer = await http.head(content_url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


async def test_video_that_is_not_done_has_no_files_yet(gateway: Any, http: AsyncClient) -> None:
    video = await gateway.create()
    answer = await http.get(f"/v1/{video.name}/content")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (409, "false")
    assert answer.json()["error"]["code"] == "wrong_state"


async def test_variant_that_a_video_lacks_is_not_found(gateway: Any, http: AsyncClient) -> None:
    video = await gateway.create()
    await gateway.finish(await gateway.claim(), b"mp4")
    for variant in ("thumbnail", "webm"):
        answer = await http.get(f"/v1/{video.name}/content", params={"variant": variant})
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "variant")


async def test_blocked_output_is_unavailable_for_legal_reasons(
    gateway: Any, http: AsyncClient
) -> None:
    video = await gateway.create()
    failure = video_pb2.Failure(reason="CONTENT_BLOCKED", message="it shows what it must not")
    await gateway.jobs.fail(await gateway.claim(), failure)
    answer = await http.get(f"/v1/{video.name}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (451, "content_blocked")
    shown = (await http.get(f"/v1/{video.name}")).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "content_blocked")


async def test_unknown_video_is_not_found(http: AsyncClient) -> None:
    answer = await http.get("/v1/videos/nope/content")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "video_id")
