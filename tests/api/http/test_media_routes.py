"""Uploads by HTTP: the rules of UploadMedia, on a form that is read as it comes."""

import asyncio
import hashlib
from typing import Any

import pytest
from httpx2 import AsyncClient

PNG = b"\x89PNG\r\n\x1a\n" + bytes(300_000)
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(1000)
BOUNDARY = "edge"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, content: bytes, *, filename: str = 'filename="x"') -> bytes:
    disposition = f'form-data; name="{name}"; {filename}'.rstrip("; ")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def stored_files(gateway: Any) -> list[bytes]:
    media = gateway.objects_folder / "media"
    return [path.read_bytes() for path in media.glob("[!.]*")] if media.exists() else []


async def test_upload_is_stored_and_begins_a_video(gateway: Any, http: AsyncClient) -> None:
    answer = await http.post("/v1/media", files={"file": ("first.png", PNG)})
    assert answer.status_code == 201
    media = answer.json()
    assert (media["object"], media["content_type"]) == ("media", "image/png")
    assert media["size_bytes"] == len(PNG)
    assert media["digest"] == f"sha256:{hashlib.sha256(PNG).hexdigest()}"
    assert media["expires_at"] - media["created_at"] == 30 * 86_400
    assert stored_files(gateway) == [PNG]
    body = {"prompt": "x", "input_reference": {"file_id": media["id"]}}
    video = await http.post("/v1/videos", json=body)
    made = await gateway.jobs.get(f"videos/{video.json()['id']}")
    assert made.spec.input_image == f"media/{media['id']}"


async def test_an_uploaded_video_is_edited_and_gone_on_with(
    gateway: Any, http: AsyncClient
) -> None:
    source = {"file_id": (await http.post("/v1/media", files={"file": MP4})).json()["id"]}
    edited = await http.post("/v1/videos/edits", json={"prompt": "x", "video": source})
    longer = {"prompt": "x", "video": source, "seconds": "0.5", "total_seconds": "1.5"}
    extended = await http.post("/v1/videos/extensions", json=longer)
    assert (edited.status_code, extended.status_code) == (202, 202)
    made = await gateway.jobs.get(f"videos/{extended.json()['id']}")
    assert made.spec.extend.source == f"media/{source['file_id']}"


async def test_uploads_count_until_they_are_deleted(gateway: Any, http: AsyncClient) -> None:
    ids = [
        (await http.post("/v1/media", files={"file": content})).json()["id"]
        for content in (PNG, MP4)
    ]
    assert (await http.get("/v1/usage")).json()["stored_bytes"] == len(PNG) + len(MP4)
    gone = await http.delete(f"/v1/media/{ids[0]}")
    assert gone.json() == {"id": ids[0], "object": "media.deleted", "deleted": True}
    assert (await http.get("/v1/usage")).json()["stored_bytes"] == len(MP4)
    assert stored_files(gateway) == [MP4]
    assert (await http.delete(f"/v1/media/{ids[0]}")).status_code == 404
    body = {"prompt": "x", "input_reference": {"file_id": ids[0]}}
    assert (await http.post("/v1/videos", json=body)).status_code == 400


async def test_what_does_not_exist_is_named_as_its_path_names_it(http: AsyncClient) -> None:
    for path, param in (
        ("media/x", "media_id"),
        ("models/x", "model_id"),
        ("videos/x", "video_id"),
    ):
        answer = await http.get(f"/v1/{path}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, param)
        assert answer.json()["error"]["message"] == f"{path} does not exist"


async def test_uploads_are_listed_page_by_page(http: AsyncClient) -> None:
    made = [(await http.post("/v1/media", files={"file": PNG})).json() for _ in range(3)]
    assert (await http.get(f"/v1/media/{made[0]['id']}")).json() == made[0]
    first = (await http.get("/v1/media", params={"limit": 2})).json()
    assert (first["data"], first["has_more"]) == ([made[2], made[1]], True)
    after = {"limit": 2, "after": first["last_id"]}
    assert (await http.get("/v1/media", params=after)).json() == {
        "object": "list",
        "data": [made[0]],
        "first_id": made[0]["id"],
        "last_id": made[0]["id"],
        "has_more": False,
    }
    for no_id in ("none", "no/id"):
        answer = await http.get("/v1/media", params={"after": no_id})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")
    assert (await http.get("/v1/media/none")).status_code == 404


async def test_uploads_that_are_deleted_page_by_page_all_go(http: AsyncClient) -> None:
    made = [(await http.post("/v1/media", files={"file": PNG})).json() for _ in range(3)]
    page = (await http.get("/v1/media", params={"limit": 2})).json()
    for media in page["data"]:
        await http.delete(f"/v1/media/{media['id']}")
    rest = (await http.get("/v1/media", params={"after": page["last_id"]})).json()
    assert (rest["data"], rest["has_more"]) == ([made[0]], False)


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (part("file", b"<html>" + bytes(100)) + END, "file"),
        (part("file", b"") + END, "file"),
        (part("other", PNG) + END, "body"),
        (part("file", PNG, filename="") + END, "body"),
        (part("file", PNG) + part("file", PNG) + END, "body"),
        (part("file", PNG) + part("purpose", b"x", filename="") + END, "body"),
        (part("file", PNG), "file"),
        (END, "file"),
        (b"no form at all", "body"),
        (part("file", PNG, filename=f'filename="{"x" * 9000}"') + END, "body"),
    ],
)
async def test_another_body_is_refused_and_leaves_nothing(
    gateway: Any, http: AsyncClient, sent: bytes, param: str
) -> None:
    answer = await http.post("/v1/media", content=sent, headers=FORM)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert stored_files(gateway) == []
    assert (await http.get("/v1/usage")).json()["stored_bytes"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "image/png"},
        {"content-type": "application/json"},
        {},
        FORM | {"content-encoding": "gzip"},
    ],
)
async def test_what_is_no_form_is_415(http: AsyncClient, headers: dict[str, str]) -> None:
    answer = await http.post("/v1/media", content=part("file", PNG) + END, headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize("boundary", ["", f"; boundary={'b' * 257}"])
async def test_form_without_a_boundary_or_with_one_too_long_is_refused(
    http: AsyncClient, boundary: str
) -> None:
    headers = {"content-type": f"multipart/form-data{boundary}"}
    answer = await http.post("/v1/media", content=part("file", PNG) + END, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body")


async def test_picture_is_refused_at_the_byte_too_many(gateway: Any, http: AsyncClient) -> None:
    sent = part("file", PNG[:100] + bytes(16 * 1024 * 1024)) + END
    answer = await http.post("/v1/media", content=sent, headers=FORM)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "file: has more than 16777216 bytes, for image/png"
    assert stored_files(gateway) == []


async def test_upload_that_goes_idle_is_dropped(gateway: Any) -> None:
    host, port = gateway.http_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [f"POST /v1/media HTTP/1.1\r\nhost: {host}", f"content-type: {FORM['content-type']}"]
    sent = part("file", PNG[:100])[:-2]
    writer.write("\r\n".join([*head, "content-length: 5000", "", ""]).encode() + sent)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert stored_files(gateway) == []


class TestTenantWithLittleRoom:
    @pytest.fixture
    def sections(self) -> dict[str, Any]:
        return {"quota": {"max_stored_bytes": len(PNG) + 10}}

    async def test_upload_beyond_the_stored_bytes_is_refused(
        self, gateway: Any, http: AsyncClient
    ) -> None:
        first = await http.post("/v1/media", files={"file": PNG})
        refused = await http.post("/v1/media", files={"file": MP4})
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "quota_exceeded"
        assert refused.headers["x-should-retry"] == "false"
        assert stored_files(gateway) == [PNG]
        await http.delete(f"/v1/media/{first.json()['id']}")
        assert (await http.post("/v1/media", files={"file": MP4})).status_code == 201

    async def test_upload_beyond_them_is_refused_before_its_bytes_come(self, gateway: Any) -> None:
        host, port = gateway.http_url.removeprefix("http://").split(":")
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                f"POST /v1/media HTTP/1.1\r\nhost: {host}\r\ncontent-length: 10000000\r\n"
                "content-type: multipart/form-data; boundary=x\r\n\r\n".encode()
            )
            assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
        writer.close()
