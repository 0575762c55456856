"""Keys, scopes and TLS by HTTP, as by gRPC."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from certificates import CertificateAuthority
from httpx2 import AsyncClient
from keyed_gateway import announce, keyed_gateway
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from telecine.api.caller import Scope
from telecine.v1 import model_pb2


def base_of(folder: Path, scheme: str = "http") -> str:
    return f"{scheme}://{(folder / 'http.address').read_text().strip()}"


async def test_key_opens_what_its_scopes_allow_and_no_other_tenant_s(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> None:
    async with keyed_gateway(redis_url, tmp_path) as gateway:
        await announce(gateway, toybox)
        writer, other = await gateway.make_key(), await gateway.make_key(tenant="other")
        reader = await gateway.make_key(Scope.VIDEOS_READ)
        async with AsyncClient(base_url=base_of(tmp_path)) as http:

            async def ask(method: str, path: str, key: object = None, **sent: Any) -> Any:
                headers = {"authorization": f"Bearer {key}"} if key else {}
                return await http.request(method, path, headers=headers, **sent)

            nobody = await ask("GET", "/v1/videos")
            assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
            assert nobody.json()["error"]["type"] == "authentication_error"
            body = {"json": {"prompt": "a red circle"}}
            assert (await ask("POST", "/v1/videos", reader, **body)).status_code == 403
            video = (await ask("POST", "/v1/videos", writer, **body)).json()
            assert (await ask("GET", f"/v1/videos/{video['id']}", reader)).status_code == 200
            assert (await ask("GET", f"/v1/videos/{video['id']}", other)).status_code == 404
            remix = await ask("POST", f"/v1/videos/{video['id']}/remix", other, **body)
            assert remix.status_code == 404
            edit = {"json": {"prompt": "x", "video": {"id": video["id"]}}}
            assert (await ask("POST", "/v1/videos/edits", other, **edit)).status_code == 400
            after = await ask("GET", f"/v1/videos?after={video['id']}", other)
            assert after.status_code == 400
            with_header = await http.get("/v1/models", headers={"x-api-key": str(reader)})
            assert with_header.status_code == 200
            assert (await ask("POST", "/v1/videos/characters")).status_code == 401

        url = f"{base_of(tmp_path, 'ws')}/v1/videos/{video['id']}/ws"
        with pytest.raises(InvalidStatus) as raised:
            async with connect(url):
                pass
        assert raised.value.response.status_code == 401
        async with connect(url, additional_headers={"x-api-key": str(reader)}) as socket:
            assert '"QUEUED"' in str(await socket.recv())


async def test_models_take_no_scope_as_by_grpc(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> None:
    async with keyed_gateway(redis_url, tmp_path) as gateway:
        await announce(gateway, toybox)
        key = {"x-api-key": str(await gateway.make_key(Scope.VIDEOS_WRITE))}
        async with AsyncClient(base_url=base_of(tmp_path)) as http:
            for path in ("/v1/models", "/v1/models/toybox"):
                assert (await http.get(path, headers=key)).status_code == 200
                assert (await http.get(path)).status_code == 401
            for path in ("/v1/videos", "/v1/media", "/v1/usage"):
                assert (await http.get(path, headers=key)).status_code == 403


async def test_page_that_a_proxy_has_brought_is_the_gateway_s_own(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> None:
    public_url = "https://Telecine.example/media"
    async with keyed_gateway(redis_url, tmp_path, public_url=public_url) as gateway:
        await announce(gateway, toybox)
        key = {"x-api-key": str(await gateway.make_key())}
        statuses = {}
        async with AsyncClient(base_url=base_of(tmp_path)) as http:
            for origin in ("https://telecine.example", "https://evil.example", ""):
                headers = {**key, "origin": origin}
                made = await http.post("/v1/videos", json={"prompt": "x"}, headers=headers)
                statuses[origin] = made.status_code
    assert statuses == {"https://telecine.example": 202, "https://evil.example": 403, "": 403}


async def test_the_http_edge_has_the_certificate_of_the_other(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> None:
    authority = CertificateAuthority(tmp_path)
    cert, key = authority.issue("server")
    files = {"tls": {"cert": cert, "key": key}}
    async with keyed_gateway(redis_url, tmp_path, **files) as gateway:
        await announce(gateway, toybox)
        caller = {"x-api-key": str(await gateway.make_key())}
        trust = ssl.create_default_context(cafile=str(authority.file))
        async with AsyncClient(base_url=base_of(tmp_path, "https"), verify=trust) as http:
            video = await http.post("/v1/videos", json={"prompt": "x"}, headers=caller)
        assert video.json()["events_url"].startswith("https://")
        assert video.json()["websocket_url"].startswith("wss://")
