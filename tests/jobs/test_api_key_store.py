"""API keys in each kind of Redis."""

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from telecine.errors import InvalidFieldError, NotFoundError, StoreUnavailableError
from telecine.jobs import api_key_store
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import account_pb2

DIGEST = bytes(range(32))


@pytest.fixture
def keys(client: Redis) -> ApiKeyStore:
    return ApiKeyStore(client)


async def add(keys: ApiKeyStore, *key_ids: str, tenant: str = "acme") -> None:
    for key_id in key_ids:
        await keys.add(account_pb2.ApiKey(name=f"apiKeys/{key_id}", tenant=tenant), DIGEST)


def ids(found: Sequence[account_pb2.ApiKey]) -> list[str]:
    return [key.name.removeprefix("apiKeys/") for key in found]


async def test_a_key_is_found_with_its_digest(keys: ApiKeyStore) -> None:
    await add(keys, "a")
    found = await keys.find("a")
    assert found is not None
    assert (found.key.tenant, found.digest) == ("acme", DIGEST)
    assert found.key.state == account_pb2.ApiKey.STATE_ACTIVE
    assert await keys.find("b") is None


async def test_the_secret_is_not_stored(keys: ApiKeyStore, client: Redis) -> None:
    key = account_pb2.ApiKey(name="apiKeys/a", tenant="acme", secret="sesame")
    await keys.add(key, DIGEST)
    for name in [name async for name in client.scan_iter()]:
        assert b"sesame" not in (await client.dump(name) or b"")
    assert key.secret == "sesame"


async def test_a_key_ends_by_its_time(keys: ApiKeyStore) -> None:
    key = account_pb2.ApiKey(name="apiKeys/a", tenant="acme")
    key.expire_time.FromSeconds(1)
    await keys.add(key, DIGEST)
    assert (await keys.get("apiKeys/a")).state == account_pb2.ApiKey.STATE_EXPIRED


async def test_a_revoked_key_is_kept_for_a_while(keys: ApiKeyStore, client: Redis) -> None:
    await add(keys, "a", "b")
    await keys.revoke("apiKeys/a")
    found = await keys.find("a")
    assert found is not None
    assert found.key.state == account_pb2.ApiKey.STATE_REVOKED
    assert ids((await keys.list_page("acme", page_size=10)).keys) == ["b"]
    assert 0 < await client.ttl("telecine:{0}:api_key:a") <= api_key_store.REVOKED_KEPT_SECONDS
    assert await client.ttl("telecine:{0}:api_key:b") == -1
    with pytest.raises(NotFoundError):
        await keys.revoke("apiKeys/c")


async def test_a_key_that_is_added_again_is_no_longer_revoked(keys: ApiKeyStore) -> None:
    await add(keys, "a")
    await keys.revoke("apiKeys/a")
    await add(keys, "a")
    assert (await keys.get("apiKeys/a")).state == account_pb2.ApiKey.STATE_ACTIVE


async def test_tenants_with_one_beginning_have_lists_of_their_own(keys: ApiKeyStore) -> None:
    for tenant in ("a", "a-", "a.b", "a0", "aa", "A"):
        await add(keys, f"of {tenant}", tenant=tenant)
    for tenant in ("a", "a-", "a.b", "a0", "aa", "A"):
        page = await keys.list_page(tenant, page_size=10)
        assert (ids(page.keys), page.next_place) == ([f"of {tenant}"], "")
    assert len((await keys.list_page("", page_size=10)).keys) == 6


async def test_a_tenant_has_no_more_keys_than_it_may(
    keys: ApiKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_key_store, "MAX_KEYS_PER_TENANT", 2)
    await add(keys, "a", "b")
    with pytest.raises(InvalidFieldError, match="revoke some"):
        await add(keys, "c")
    await add(keys, "c", tenant="other")
    await keys.revoke("apiKeys/a")
    await add(keys, "d")


async def test_a_use_is_noted_and_ends_by_itself(keys: ApiKeyStore, client: Redis) -> None:
    await add(keys, "a")
    await keys.note_use("apiKeys/a")
    assert (await keys.get("apiKeys/a")).last_use_time.seconds > 0
    assert await client.ttl("telecine:{0}:api_key_use:a") > 0


async def test_without_redis_every_call_says_so(server: RedisServer) -> None:
    client = connect_redis(server.url)
    keys = ApiKeyStore(client)
    server.kill()
    calls = (
        add(keys, "a"),
        keys.find("a"),
        keys.get("apiKeys/a"),
        keys.list_page("acme", page_size=1),
        keys.revoke("apiKeys/a"),
        keys.note_use("apiKeys/a"),
    )
    for call in calls:
        with pytest.raises(StoreUnavailableError):
            await call
    await client.aclose()
