"""AccountService's keys: no key can make a larger one, and no tenant sees another's."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from keyed_gateway import KeyedGateway, keyed_gateway

from telecine.api.api_keys import create_api_key
from telecine.api.caller import Caller, Scope
from telecine.client import (
    AsyncClient,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from telecine.v1 import account_pb2, account_service_pb2, video_pb2

ApiKey = account_pb2.ApiKey


@pytest.fixture
async def keyed(redis_url: str, tmp_path: Path) -> AsyncIterator[KeyedGateway]:
    async with keyed_gateway(redis_url, tmp_path) as running:
        yield running


@pytest.fixture
async def operator(keyed: KeyedGateway) -> AsyncIterator[AsyncClient]:
    """A caller of the tenant `acme` with every scope."""
    async with AsyncClient(keyed.address, api_key=str(await keyed.make_key())) as client:
        yield client


@pytest.fixture
async def manager(keyed: KeyedGateway) -> AsyncIterator[AsyncClient]:
    """A caller of the tenant `other` who may manage its keys and look at videos in batch."""
    key = await keyed.make_key(
        Scope.KEYS_MANAGE, Scope.VIDEOS_READ, tenant="other", tiers=(video_pb2.TIER_BATCH,)
    )
    async with AsyncClient(keyed.address, api_key=str(key)) as client:
        yield client


async def names(client: AsyncClient, tenant: str = "", page_size: int = 50) -> list[str]:
    return [key.name async for key in client.list_api_keys(tenant, page_size=page_size)]


async def test_a_key_is_shown_once_and_works(keyed: KeyedGateway, operator: AsyncClient) -> None:
    end = Timestamp(seconds=int(time.time()) + 3600)
    made = await operator.create_api_key(
        ApiKey(
            display_name="Robot 7",
            scopes=["videos:read", "videos:read"],
            tiers=[video_pb2.TIER_BATCH],
            labels={"team": "film"},
            expire_time=end,
        )
    )
    assert (made.tenant, made.display_name, list(made.scopes)) == (
        "acme",
        "Robot 7",
        ["videos:read"],
    )
    assert made.state == ApiKey.STATE_ACTIVE
    async with AsyncClient(keyed.address, api_key=made.secret) as robot:
        assert (await robot.get_caller()).principal == made.name
    found = await operator.get_api_key(made.name)
    assert found.HasField("last_use_time")
    found.ClearField("last_use_time")
    made.ClearField("secret")
    assert found == made


async def test_a_key_does_no_more_than_its_maker(manager: AsyncClient) -> None:
    for scope in ("videos:write", "admin"):
        with pytest.raises(PermissionDeniedError, match=scope):
            await manager.create_api_key(ApiKey(scopes=["videos:read", scope]))
    with pytest.raises(PermissionDeniedError, match="admin"):
        await manager.create_api_key(ApiKey(scopes=["videos:read"], tenant="acme"))
    with pytest.raises(PermissionDeniedError, match="TIER_REALTIME"):
        tiers = [video_pb2.TIER_BATCH, video_pb2.TIER_REALTIME]
        await manager.create_api_key(ApiKey(scopes=["videos:read"], tiers=tiers))
    made = await manager.create_api_key(ApiKey(scopes=["videos:read"]))
    assert (made.tenant, list(made.tiers)) == ("other", [video_pb2.TIER_BATCH])


async def test_a_key_ends_with_its_maker_at_the_latest(keyed: KeyedGateway) -> None:
    maker = await keyed.make_key(expire_seconds=3600)
    end = (await keyed.keys.get(f"apiKeys/{maker.key_id}")).expire_time
    async with AsyncClient(keyed.address, api_key=str(maker)) as client:
        unsaid = await client.create_api_key(ApiKey(scopes=["videos:read"]))
        assert 0 <= end.ToMicroseconds() - unsaid.expire_time.ToMicroseconds() <= 1
        for earlier_seconds in (0, 60):
            asked = Timestamp(seconds=end.seconds - earlier_seconds, nanos=end.nanos)
            made = await client.create_api_key(ApiKey(scopes=["videos:read"], expire_time=asked))
            assert made.expire_time == asked
        later = Timestamp(seconds=end.seconds + 1, nanos=end.nanos)
        with pytest.raises(InvalidRequestError) as raised:
            await client.create_api_key(ApiKey(scopes=["videos:read"], expire_time=later))
    assert raised.value.field == "api_key.expire_time"


async def test_a_key_made_by_a_token_that_outlasts_all_time_has_an_end() -> None:
    token = Caller("acme", "robot", frozenset(Scope), expire_time=1e20)

    async def add(*_: Any) -> None:
        pass

    parts: Any = SimpleNamespace(api_keys=SimpleNamespace(add=add))
    request = account_service_pb2.CreateApiKeyRequest(api_key=ApiKey(scopes=["videos:read"]))
    made = await create_api_key(parts, request, caller=token)
    assert made.expire_time.ToDatetime().year == 9999


async def test_another_tenant_s_keys_are_not_there(
    operator: AsyncClient, manager: AsyncClient
) -> None:
    ours = await operator.create_api_key(ApiKey(scopes=["videos:read"]))
    for call in (manager.get_api_key, manager.revoke_api_key):
        with pytest.raises(NotFoundError):
            await call(ours.name)
    for tenant in ("acme", "-"):
        with pytest.raises(PermissionDeniedError):
            await names(manager, tenant)
    assert ours.name not in await names(manager)


async def test_an_admin_looks_after_every_tenant_s(
    operator: AsyncClient, manager: AsyncClient
) -> None:
    made = await operator.create_api_key(ApiKey(scopes=["videos:read"], tenant="other"))
    theirs = await names(operator, "other")
    assert made.name in theirs
    assert theirs == await names(manager)
    assert sorted(await names(operator, "-")) == sorted(await names(operator) + theirs)
    assert (await operator.revoke_api_key(made.name)).state == ApiKey.STATE_REVOKED


async def test_pages_hold_every_key_once(operator: AsyncClient) -> None:
    for _ in range(6):
        await operator.create_api_key(ApiKey(scopes=["videos:read"]))
        await operator.create_api_key(ApiKey(scopes=["videos:read"], tenant="acme.2"))
    for tenant, number in (("", 7), ("acme.2", 6), ("-", 13)):
        found = await names(operator, tenant, page_size=2)
        assert len(found) == len(set(found)) == number
        assert found == await names(operator, tenant)


async def test_a_revoked_key_leaves_the_list_and_can_be_got(operator: AsyncClient) -> None:
    made = await operator.create_api_key(ApiKey(scopes=["videos:read"]))
    revoked = await operator.revoke_api_key(made.name)
    assert revoked.HasField("revoke_time")
    assert await operator.revoke_api_key(made.name) == revoked
    assert await operator.get_api_key(made.name) == revoked
    assert made.name not in await names(operator)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "api_key.scopes"),
        ({"scopes": ["videos:shred"]}, "api_key.scopes"),
        ({"tiers": [99]}, "api_key.tiers"),
        ({"tiers": [0]}, "api_key.tiers"),
        ({"tenant": "a/b"}, "api_key.tenant"),
        ({"tenant": "a\r\nb"}, "api_key.tenant"),
        ({"tenant": "x" * 65}, "api_key.tenant"),
        ({"display_name": "x" * 64}, "api_key.display_name"),
        ({"display_name": "a\x1b[2J"}, "api_key.display_name"),
        ({"labels": {"Team": "x"}}, "api_key.labels"),
        ({"labels": {str(n): "" for n in range(33)}}, "api_key.labels"),
        ({"expire_time": Timestamp(seconds=1)}, "api_key.expire_time"),
        ({"expire_time": Timestamp(seconds=1 << 60)}, "api_key.expire_time"),
    ],
)
async def test_a_bad_key_is_refused_by_its_field(
    operator: AsyncClient, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await operator.create_api_key(ApiKey(**{"scopes": ["videos:read"], **fields}))
    assert raised.value.field == field


@pytest.mark.parametrize("name", ["apiKeys/..", "apiKeys/ABCDEF0123456789", "apiKeys/0/1", "x\r\n"])
async def test_a_malformed_name_is_refused(operator: AsyncClient, name: str) -> None:
    for call in (operator.get_api_key, operator.revoke_api_key):
        with pytest.raises(InvalidRequestError) as raised:
            await call(name)
        assert raised.value.field == "name"


async def test_an_unknown_key_is_not_found(operator: AsyncClient) -> None:
    for call in (operator.get_api_key, operator.revoke_api_key):
        with pytest.raises(NotFoundError):
            await call("apiKeys/0123456789abcdef")


async def test_a_page_token_of_another_list_is_refused(operator: AsyncClient) -> None:
    for _ in range(2):
        await operator.create_api_key(ApiKey(scopes=["videos:read"], tenant="b"))
    account = operator._account
    request = account_service_pb2.ListApiKeysRequest(tenant="b", page_size=1)
    request.page_token = (await account.ListApiKeys(request)).next_page_token
    assert len((await account.ListApiKeys(request)).api_keys) == 1
    request.tenant = ""
    for token in (request.page_token, "AAAA", "!"):
        request.page_token = token
        with pytest.raises(InvalidRequestError) as raised:
            await operator._call(account.ListApiKeys, request)
        assert raised.value.field == "page_token"
