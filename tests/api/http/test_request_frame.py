"""What stands around every HTTP request: limits on its size and time, ids, origins."""

import asyncio
import json
import socket
from typing import Any

import pytest
import structlog
from httpx2 import AsyncClient

from telecine.api.http import header_deadline, model_routes
from telecine.api.http.request_frame import MAX_BODY_BYTES, MAX_CREATE_BODY_BYTES

IDLE_SECONDS = 1.0  # of the gateway fixture


async def connect(gateway: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = gateway.http_url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_every_answer_has_an_id_of_its_own(http: AsyncClient) -> None:
    ids = {(await http.get(path)).headers["x-request-id"] for path in ("/v1/models", "/nope")}
    assert len(ids) == 2


async def test_body_that_says_it_is_too_large_is_refused_unread(gateway: Any) -> None:
    reader, writer = await connect(gateway)
    writer.write(
        b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % (MAX_CREATE_BODY_BYTES + 1)
    )
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        ("application/json", b""),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n',
        ),
    ],
)
async def test_endless_body_is_refused_at_the_byte_too_many(
    gateway: Any, content_type: str, start: bytes
) -> None:
    loop = asyncio.get_running_loop()
    host, port = gateway.http_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(0)
        head = (
            f"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n"
            "transfer-encoding: chunked\r\n\r\n"
        )
        await loop.sock_sendall(connection, head.encode())
        chunk = start or b"{"
        with pytest.raises(ConnectionError):
            while True:
                await loop.sock_sendall(connection, b"%x\r\n%b\r\n" % (len(chunk), chunk))
                chunk = b"x" * 65536
        answer = await loop.sock_recv(connection, 4096)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"body_too_large" in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize("path", ["/v1/videos/estimate", "/v1/videos/x/cancel", "/remix"])
async def test_other_routes_take_small_bodies_alone(http: AsyncClient, path: str) -> None:
    body = json.dumps({"prompt": "x" * MAX_BODY_BYTES})
    answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("path", "largest"),
    [
        # What each route takes: a track of 32 MiB, beside an image of 16 or a video of 256.
        ("/v1/videos", 48 << 20),
        ("/v1/videos/x/remix", 32 << 20),
        ("/v1/videos/edits", 288 << 20),
        ("/v1/videos/extensions", 288 << 20),
        ("/v1/media", 256 << 20),
    ],
)
async def test_body_with_the_largest_files_of_its_route_is_read(
    gateway: Any, path: str, largest: int
) -> None:
    for size, is_refused in ((largest + (1 << 20), False), (largest + (9 << 20), True)):
        reader, writer = await connect(gateway)
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
            b"content-type: multipart/form-data; boundary=b\r\ncontent-length: %d\r\n\r\n"
            % (path.encode(), size)
        )
        status = await asyncio.wait_for(reader.readline(), 10)
        assert (b" 413 " in status) == is_refused, status
        writer.close()


async def test_body_that_goes_idle_is_given_up(http: AsyncClient) -> None:
    async def stalling() -> Any:
        yield b'{"prompt":'
        await asyncio.sleep(IDLE_SECONDS * 2)

    answer = await http.post(
        "/v1/videos", content=stalling(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "upload_idle")


@pytest.mark.parametrize(
    "sent", [b"", b"GET /v1/mod", b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: "]
)
async def test_request_whose_headers_do_not_end_is_given_up(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(header_deadline, "HEADER_SECONDS", 0.2)
    reader, writer = await connect(gateway)
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_headers_that_are_too_long_are_refused(gateway: Any) -> None:
    reader, writer = await connect(gateway)
    writer.write(b"GET / HTTP/1.1\r\n" + b"x-a: " + b"a" * 40_000)
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_connection_is_used_again_after_its_first_deadline(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_deadline, "HEADER_SECONDS", 0.3)
    reader, writer = await connect(gateway)
    for _ in range(3):
        writer.write(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 10)
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(size.split(b":")[1]))
        await asyncio.sleep(0.2)
    writer.close()


@pytest.mark.parametrize("name", ["api_key", "ACCESS_TOKEN", "x-api-key", "key"])
async def test_key_in_the_url_is_refused(http: AsyncClient, name: str) -> None:
    answer = await http.get("/v1/models", params={name: "sk-secret"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
    assert "sk-secret" not in answer.text


async def test_page_of_another_origin_may_read_nothing_and_change_nothing(
    http: AsyncClient,
) -> None:
    headers = {"origin": "http://evil.example"}
    form = await http.post("/v1/videos", data={"prompt": "x"}, headers=headers)
    assert (form.status_code, form.json()["error"]["code"]) == (403, "foreign_origin")
    assert (await http.get("/v1/videos")).json()["data"] == []
    read = await http.get("/v1/models", headers=headers)
    assert "access-control-allow-origin" not in read.headers


@pytest.mark.parametrize("origin", ["http://[", "null", "x"])
async def test_what_is_no_origin_may_change_nothing(http: AsyncClient, origin: str) -> None:
    headers = {"origin": origin}
    form = await http.post("/v1/videos", data={"prompt": "x"}, headers=headers)
    assert (form.status_code, form.json()["error"]["code"]) == (403, "foreign_origin")


async def test_own_page_may_change_things(http: AsyncClient) -> None:
    headers = {"origin": str(http.base_url).rstrip("/")}
    made = await http.post("/v1/videos", data={"prompt": "x"}, headers=headers)
    assert made.status_code == 202


class TestListedOrigin:
    @pytest.fixture
    def gateway_settings(self) -> dict[str, Any]:
        return {"cors_origins": ("http://app.example",)}

    async def test_page_of_a_listed_origin_may(self, http: AsyncClient) -> None:
        headers = {"origin": "http://app.example"}
        made = await http.post("/v1/videos", data={"prompt": "x"}, headers=headers)
        assert made.status_code == 202
        assert made.headers["access-control-allow-origin"] == "http://app.example"
        asked = {"access-control-request-method": "DELETE", **headers}
        allowed = await http.options("/v1/videos/x", headers=asked)
        assert (allowed.status_code, "x-request-id" in allowed.headers) == (200, True)
        refused = await http.options("/v1/videos/x", headers=asked | {"origin": "http://evil"})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers

    async def test_it_may_read_why_it_was_refused(
        self, http: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr(model_routes.models, "list_models", fail)
        headers = {"origin": "http://app.example"}
        large = {"prompt": "x" * MAX_BODY_BYTES}
        answers = [
            await http.post("/v1/videos/estimate", json=large, headers=headers),
            await http.get("/v1/videos?api_key=x", headers=headers),
            await http.get("/v1/models", headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [413, 400, 500]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == "http://app.example"
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
        foreign = await http.get("/v1/videos?api_key=x", headers={"origin": "http://evil"})
        assert "access-control-allow-origin" not in foreign.headers


async def test_error_that_nobody_expected_tells_its_log_id_alone(
    http: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(model_routes.models, "list_models", fail)
    with structlog.testing.capture_logs() as logged:
        answer = await http.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert logged[-1]["event.id"] in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"]
