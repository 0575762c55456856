"""Every bad request is refused with its field or not at all understood, and the next one works."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import structlog

from telecine.api.http.header_deadline import MAX_HEADER_BYTES

CONTENT_TYPE = {"content-type": "application/json"}
JSON = b'{"prompt": "a red circle"}'
POST = b"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n" % (len(JSON), JSON)
LENGTH = b"content-length: %d\r\n" % len(JSON)
LEAKS = ("Traceback", 'File "', "/server/", "site-packages", "Error(")


@pytest.fixture(autouse=True)
async def next_request_works(http: httpx2.AsyncClient) -> AsyncIterator[None]:
    """Whatever a test has sent, nothing of it is left."""
    yield
    assert (await http.post("/v1/videos", content=JSON, headers=CONTENT_TYPE)).status_code == 202


async def connect(gateway: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = gateway.http_url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def exchange(gateway: Any, request: bytes) -> bytes:
    """Sends bytes and returns all that is answered to them until the connection is closed."""
    reader, writer = await connect(gateway)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def refusal_of(http: httpx2.AsyncClient, body: bytes, **headers: str) -> dict[str, Any]:
    """Sends a body that must be refused as the caller's fault, and returns the error."""
    answer = await http.post("/v1/videos", content=body, headers={**CONTENT_TYPE, **headers})
    assert 400 <= answer.status_code < 500, answer.text
    assert not any(leak in answer.text for leak in LEAKS)
    error: dict[str, Any] = answer.json()["error"]
    return error


# Where two servers in a row could disagree about where a request ends.
SMUGGLED = {
    "two lengths": POST + LENGTH + b"content-length: 4\r\n\r\n" + JSON,
    "the same length twice": POST + LENGTH + LENGTH + b"\r\n" + JSON,
    "a list of lengths": POST + b"content-length: 26, 26\r\n\r\n" + JSON,
    "a length and chunks": POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS + b"0\r\n\r\n",
    "chunks and a length": POST + CHUNKED + LENGTH + b"\r\n" + CHUNKS + b"0\r\n\r\n",
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n" + CHUNKS + b"0\r\n\r\n",
    "not chunked last": POST + b"transfer-encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "not chunked alone": POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + CHUNKS + b"0\r\n\r\n",
    "an unknown coding": POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKS,
    "a negative length": POST + b"content-length: -5\r\n\r\n" + JSON,
    "a length with a sign": POST + b"content-length: +26\r\n\r\n" + JSON,
    "an endless length": POST + b"content-length: " + b"9" * 40 + b"\r\n\r\n" + JSON,
    "a negative chunk": POST + CHUNKED + b"\r\n-1\r\n",
    "an endless chunk": POST + CHUNKED + b"\r\n" + b"f" * 40 + b"\r\n",
    "space before a colon": POST + b"content-length : 26\r\n\r\n" + JSON,
    "a folded header": POST + LENGTH + b"x-a: b\r\n c\r\n\r\n" + JSON,
    "a bare CR": POST + LENGTH + b"x-a: a\rb\r\n\r\n" + JSON,
    "a NUL": POST + LENGTH + b"x-a: \x00\r\n\r\n" + JSON,
    "bare LFs": (POST + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + JSON,
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
}


async def test_request_that_can_be_read_in_two_ways_is_refused(gateway: Any) -> None:
    # The second one must not be taken for a part of the first, nor be answered at all.
    following = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    for name, request in SMUGGLED.items():
        answer = await exchange(gateway, request + following)
        assert answer.startswith(b"HTTP/1.1 400 "), name
        assert b"HTTP/1.1 202 " not in answer, name


async def test_header_behind_the_body_is_none_of_the_request_s(gateway: Any) -> None:
    forwarded = b"x-forwarded-for: 192.0.2.1\r\nconnection: close\r\n"
    before = POST + CHUNKED + forwarded + b"\r\n" + CHUNKS + b"0\r\n\r\n"
    assert b" 401 " in (await exchange(gateway, before)).split(b"\r\n")[0]
    behind = POST + CHUNKED + b"connection: close\r\n\r\n" + CHUNKS + b"0\r\n" + forwarded + b"\r\n"
    assert b" 202 " in (await exchange(gateway, behind)).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "flood",
    [
        b"x-a: a\r\n" * MAX_HEADER_BYTES,
        b"\r\n" + CHUNKS + b"0\r\n" + b"x-a: a\r\n" * MAX_HEADER_BYTES,
        b"\r\n" + CHUNKS + b"0\r\nx-a: " + b"a" * 4 * MAX_HEADER_BYTES,
        b"\r\n1;" + b"a" * 4 * MAX_HEADER_BYTES,
    ],
    ids=["headers", "trailers", "one trailer", "a chunk's extension"],
)
async def test_flood_of_what_is_no_body_ends_the_connection(gateway: Any, flood: bytes) -> None:
    answer = await exchange(gateway, POST + CHUNKED + flood)
    assert b" 202 " not in answer


BAD_JSON = [
    ("body", "[" * 30_000),
    ("body", '{"a":' * 12_000 + "1" + "}" * 12_000),
    ("body", '{"prompt": "a", "labels": ' + '{"a":' * 9000 + "1" + "}" * 9001),
    ("body", '{"prompt": "a", "seed": ' + "9" * 5000 + "}"),
    ("body", '{"prompt": "a\\ud800b"}'),
    ("body", '{"prompt": "a", "labels": {"\\udfff": "a"}}'),
    ("body", '{"prompt": "a", "webhook_url": "http://\\udfff/"}'),
    ("body", ""),
    ("body", "null"),
    ("prompt", '{"prompt": "\\u202e\\u2066\\u200b\\ufeff"}'),
    ("guidance_scale", '{"prompt": "a", "guidance_scale": 1e999}'),
    ("guidance_scale", '{"prompt": "a", "guidance_scale": -Infinity}'),
    ("guidance_scale", '{"prompt": "a", "guidance_scale": NaN}'),
    ("guidance_scale", '{"prompt": "a", "guidance_scale": ' + "9" * 4000 + "}"),
    ("seconds", '{"prompt": "a", "seconds": ' + "9" * 4000 + "}"),
    ("seconds", '{"prompt": "a", "seconds": 1e999}'),
    ("seconds", '{"prompt": "a", "seconds": "4\\n"}'),
    ("seconds", '{"prompt": "a", "seconds": "\\u0664"}'),
    ("seed", '{"prompt": "a", "seed": ' + "9" * 4000 + "}"),
    ("seed", '{"prompt": "a", "seed": 1e300}'),
    ("size", '{"prompt": "a", "size": "99999x99999"}'),
    ("model", '{"prompt": "a", "model": "../../etc/passwd"}'),
    ("loras[0].name", '{"prompt": "a", "loras": ["../../etc/passwd"]}'),
    ("loras[1]", '{"prompt": "a", "loras": ["a", 1]}'),
    ("loras[1].scale", '{"prompt": "a", "loras": ["a", {"name": "b", "scale": "x"}]}'),
    ("loras[0].name", '{"prompt": "a", "loras": [{"nam": "b"}]}'),
    ("loras[0].nam", '{"prompt": "a", "loras": [{"name": "b", "nam": "b"}]}'),
    ("labels.str", '{"prompt": "a", "labels": {"str": 1}}'),
    ('labels["a"]', '{"prompt": "a", "labels": {"a": "b\\r\\nset-cookie: c"}}'),
    ("labels", '{"prompt": "a", "labels": {"../a": "b"}}'),
    ("input_reference", '{"prompt": "a", "input_reference": {"file_id": "../../x"}}'),
    ("input_reference", '{"prompt": "a", "input_reference": "a.png"}'),
    ("input_reference.url", '{"prompt": "a", "input_reference": {"url": "a.png"}}'),
    ("input_reference", '{"prompt": "a", "input_reference": ["ReferenceUrl"]}'),
    ("input_audio", '{"prompt": "a", "input_audio": {}}'),
    ("video", '{"prompt": "a", "video": {"id": "x"}}'),
    ("__proto__", '{"prompt": "a", "__proto__": {}}'),
]


async def test_bad_json_is_refused_by_its_field(http: httpx2.AsyncClient) -> None:
    for field, body in BAD_JSON:
        assert (await refusal_of(http, body.encode()))["param"] == field, body[:80]


@pytest.mark.parametrize("body", [b'{"prompt": "\xff"}', '{"prompt": "a"}'.encode("utf-16")])
async def test_json_of_another_encoding_than_utf_8_is_refused(
    http: httpx2.AsyncClient, body: bytes
) -> None:
    assert (await refusal_of(http, body))["param"] == "body"


async def test_what_turns_or_hides_text_is_taken_out_of_a_prompt(http: httpx2.AsyncClient) -> None:
    prompt = "a \u202ered\u202c \u2066cir\u200bcle\u2069\ufeff"
    video = await http.post("/v1/videos", json={"prompt": prompt})
    assert video.json()["prompt"] == "a red circle"


async def test_compressed_body_is_refused_and_never_unpacked(http: httpx2.AsyncClient) -> None:
    bomb = gzip.compress(b" " * 10_000_000 + JSON)
    for coding in ("gzip", "deflate", "br", "identity, gzip"):
        error = await refusal_of(http, bomb, **{"content-encoding": coding})
        assert error["message"].startswith("content-encoding: ")


def part(name: str, value: str = "", **more: str) -> str:
    """One part of a form; `more` stands behind its name."""
    told = "".join(f'; {key}="{each}"' for key, each in more.items())
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n{value}\r\n'


BAD_FORMS = [
    ("prompt", part("prompt", "a") + part("prompt", "b")),
    ("seed", part("prompt", "a") + part("seed", "1") + part("seed", "2")),
    ("prompt", part("prompt", "a", filename="a.txt")),
    ("seed", part("prompt", "a") + part("seed", "9" * 5000)),
    ("guidance_scale", part("prompt", "a") + part("guidance_scale", "nan")),
    ("body", part("prompt", "a") * 10_000),
    ("body", "".join(part(f"x{number}") for number in range(10_000))),
    ("body", part("input_reference", filename="a.png") * 10_000),
    ("body", part("x" * 100_000)),
    ("a[b][b][b][b]", part("a[b][b][b][b]", "a")),
    ("labels[a]", part("labels", "a") + part("labels[a]", "b")),
    ("body", "--b\r\nContent-Disposition: form-data\r\n\r\na\r\n"),
    ("body", "--b\r\n" + "x-a: b\r\n" * 10_000 + "\r\n\r\n"),
]


async def test_bad_form_is_refused_by_its_field(http: httpx2.AsyncClient) -> None:
    kind = "multipart/form-data; boundary=b"
    for field, parts in BAD_FORMS:
        body = f"{parts}--b--\r\n".encode()
        error = await refusal_of(http, body, **{"content-type": kind})
        assert error["param"].replace("'", "") == field, parts[:80]


async def test_name_of_a_sent_file_leads_nowhere(gateway: Any, http: httpx2.AsyncClient) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(64)
    files = {"input_reference": ("../../../escaped.png", png, "image/png")}
    answer = await http.post("/v1/videos", data={"prompt": "a"}, files=files)
    assert answer.status_code == 202
    stored = [path for path in gateway.objects_folder.parent.rglob("*") if path.is_file()]
    assert not [path for path in stored if "escaped" in path.name]
    assert [path.read_bytes() for path in stored].count(png) == 1


BAD_IDS = [
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "a%0d%0aset-cookie:%20b",
    "a%0a",
    "%00",
    "%ff",
    "x" * 65,
]
ROUTES = [
    ("GET", "/v1/videos/{}"),
    ("DELETE", "/v1/videos/{}"),
    ("POST", "/v1/videos/{}/cancel"),
    ("POST", "/v1/videos/{}/pause"),
    ("POST", "/v1/videos/{}/resume"),
    ("GET", "/v1/videos/{}/content"),
    ("GET", "/v1/videos/{}/events"),
    ("GET", "/v1/videos/{}/ws"),
    ("GET", "/v1/videos?after={}"),
    ("GET", "/v1/models/{}"),
    ("GET", "/modules/{}"),
    ("GET", "/{}"),
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
async def test_id_that_could_lead_elsewhere_is_refused(
    gateway: Any, method: str, route: str
) -> None:
    for each in BAD_IDS:
        head = f"{method} {route.format(each)} HTTP/1.1\r\nhost: localhost\r\nconnection: close"
        answer = await exchange(gateway, f"{head}\r\n\r\n".encode())
        assert answer.split()[1] in {b"400", b"404"}, (each, answer)
        lines = answer.lower().split(b"\r\n")
        assert not [line for line in lines if line.startswith((b"set-cookie", b"root:"))]


async def test_client_that_leaves_in_the_middle_is_no_fault_of_ours(gateway: Any) -> None:
    with structlog.testing.capture_logs() as logged:
        for _ in range(20):
            _, writer = await connect(gateway)
            writer.write(POST + LENGTH + b"\r\n" + JSON[:5])
            await writer.drain()
            writer.close()
        await exchange(gateway, b"GET /v1/models HTTP/1.0\r\n\r\n")
    assert [entry for entry in logged if entry["log_level"] == "error"] == []


async def test_body_that_trickles_is_given_up(gateway: Any) -> None:
    reader, writer = await connect(gateway)
    answer = asyncio.ensure_future(reader.readline())
    writer.write(POST + b"content-length: 60000\r\n\r\n")
    while not answer.done():
        writer.write(b" ")
        await asyncio.sleep(0.05)
    assert b" 408 " in answer.result()
    writer.close()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("size", "big", "such as 128x128"), ("seconds", "two", "such as 4 or 2.5")],
)
async def test_a_text_of_another_form_is_told_the_form_and_no_pattern(
    http: httpx2.AsyncClient, field: str, value: str, words: str
) -> None:
    body = json.dumps({"prompt": "a red circle", field: value}).encode()
    error = await refusal_of(http, body)
    assert error["param"] == field
    assert words in error["message"]
    assert "[0-9]" not in error["message"]


async def test_a_bad_id_and_a_bad_key_are_told_their_forms(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/v1/videos/-nothing-")
    assert "must be an id" in answer.json()["error"]["message"]
    error = await refusal_of(http, JSON, **{"idempotency-key": "two words"})
    assert "without spaces" in error["message"]
