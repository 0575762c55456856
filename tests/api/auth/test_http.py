"""REST asks the same questions as gRPC: who, and may they."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from keyed_gateway import KeyedGateway

from telecine.api.caller import Scope
from telecine.client import AsyncClient

PROMPT = {"prompt": "a red circle"}


@pytest.fixture
async def http(keyed: KeyedGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=keyed.http_url, timeout=30) as client:
        yield client


async def test_a_key_opens_its_tenant_s_videos(
    keyed: KeyedGateway, http: httpx2.AsyncClient
) -> None:
    key = await keyed.make_key()
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": str(key)}):
        made = await http.post("/v1/videos", json=PROMPT, headers=headers)
        assert made.is_success, made.text
    other = {"x-api-key": str(await keyed.make_key(tenant="other"))}
    assert (await http.get(f"/v1/videos/{made.json()['id']}", headers=other)).status_code == 404


async def test_nobody_gets_in_without_one(keyed: KeyedGateway, http: httpx2.AsyncClient) -> None:
    for headers in ({}, {"authorization": "Bearer sk-none"}, {"x-api-key": "tc_none"}):
        for call in (
            http.get("/v1/videos", headers=headers),
            http.post("/v1/videos", json=PROMPT, headers=headers),
            http.get("/v1/videos/a/events", headers=headers),
            http.get("/v1/videos/a/content", headers=headers),
        ):
            assert (await call).status_code == 401


async def test_a_reader_may_not_write(keyed: KeyedGateway, http: httpx2.AsyncClient) -> None:
    headers = {"x-api-key": str(await keyed.make_key(Scope.VIDEOS_READ))}
    assert (await http.get("/v1/videos", headers=headers)).status_code == 200
    refused = await http.post("/v1/videos", json=PROMPT, headers=headers)
    assert refused.status_code == 403
    assert "videos:write" in refused.text


@pytest.mark.parametrize("name", ["api_key", "access_token", "x-api-key", "token"])
async def test_a_key_in_the_url_is_refused_though_the_header_is_right(
    keyed: KeyedGateway, http: httpx2.AsyncClient, name: str
) -> None:
    key = await keyed.make_key()
    for headers in ({}, {"x-api-key": str(key)}):
        refused = await http.get("/v1/videos/a", params={name: str(key)}, headers=headers)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
        assert name in refused.text
        assert key.secret not in refused.text


async def test_a_revoked_key_ends_for_rest_at_once(
    keyed: KeyedGateway, http: httpx2.AsyncClient
) -> None:
    key = await keyed.make_key()
    headers = {"x-api-key": str(key)}
    assert (await http.get("/v1/videos", headers=headers)).status_code == 200
    async with AsyncClient(keyed.address, api_key=str(await keyed.make_key())) as operator:
        await operator.revoke_api_key(key.key_id)
    assert (await http.get("/v1/videos", headers=headers)).status_code == 401
