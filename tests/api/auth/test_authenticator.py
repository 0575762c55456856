"""Who is asked for credentials, and where a gateway may serve without asking."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from keyed_gateway import keyed_gateway

from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.auth.authenticator import (
    CredentialAuthenticator,
    OpenAuthenticator,
    UnsafeAddressError,
    open_authenticator,
    require_safe_address,
)
from telecine.api.caller import LOCAL_CALLER
from telecine.api.gateway import serve
from telecine.auth_settings import AuthSettings
from telecine.config import GatewaySettings, RedisSettings, Settings
from telecine.errors import StoreUnavailableError, UnauthenticatedError
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer

OPEN, ASKING = AuthSettings(), AuthSettings(is_required=True)


@pytest.fixture
async def keys(redis_url: str) -> AsyncIterator[ApiKeyStore]:
    client = connect_redis(redis_url)
    yield ApiKeyStore(client)
    await client.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_an_open_gateway_serves_its_own_machine(host: str) -> None:
    require_safe_address(GatewaySettings(host=host, auth=OPEN))


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "[::]", "192.168.0.7", "fe80::1", "telecine.test", "localhost.test", ""],
)
def test_an_open_gateway_refuses_to_serve_other_machines(host: str) -> None:
    with pytest.raises(UnsafeAddressError, match=r"gateway\.auth\.is_required"):
        require_safe_address(GatewaySettings(host=host, auth=OPEN))
    require_safe_address(GatewaySettings(host=host, auth=ASKING))


async def test_it_refuses_before_it_binds(redis_url: str) -> None:
    settings = Settings(gateway=GatewaySettings(host="0.0.0.0"), redis=RedisSettings(url=redis_url))
    with pytest.raises(UnsafeAddressError):
        async with serve(settings):
            pass


async def test_whoever_reaches_an_open_gateway_is_its_operator(keys: ApiKeyStore) -> None:
    authenticator = open_authenticator(GatewaySettings(auth=OPEN), keys)
    assert isinstance(authenticator, OpenAuthenticator)
    assert await authenticator.authenticate({"authorization": "Bearer sk-unused"}) == LOCAL_CALLER


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "x-real-ip"])
async def test_an_open_gateway_refuses_what_a_proxy_brings(header: str) -> None:
    with pytest.raises(UnauthenticatedError, match=header):
        await OpenAuthenticator().authenticate({header: "203.0.113.9"})


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:7080"},
        {"host": "localhost:7080", "origin": "http://localhost:7080"},
        {"host": "[::1]:7080", "origin": "https://[::1]:7080"},
        {"host": "localhost:7080", "origin": "http://studio.test"},
    ],
)
async def test_an_open_gateway_takes_its_own_pages_and_those_it_was_told_of(
    headers: dict[str, str],
) -> None:
    assert await OpenAuthenticator(["http://studio.test"]).authenticate(headers) == LOCAL_CALLER
    headers |= {"origin": "http://any.test"}
    assert await OpenAuthenticator(["*"]).authenticate(headers) == LOCAL_CALLER


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"host": "localhost:7080", "origin": "http://evil.test"}, "origin"),
        ({"host": "localhost:7080", "origin": "null"}, "origin"),
        ({"host": "localhost:7080", "origin": "http://localhost:7081"}, "origin"),
        ({"host": "evil.test:7080", "origin": "http://evil.test:7080"}, "host"),
        ({"host": "evil.test"}, "host"),
        ({"host": "localhost.evil.test"}, "host"),
        ({"host": "[::1"}, "host"),
        ({"host": ""}, "host"),
    ],
)
async def test_an_open_gateway_refuses_a_web_page_of_someone_else(
    headers: dict[str, str], named: str
) -> None:
    with pytest.raises(UnauthenticatedError, match=f"^{named}: "):
        await OpenAuthenticator().authenticate(headers)


async def test_a_key_of_an_unknown_id_is_told_as_a_wrong_one(
    redis_url: str, tmp_path: Path
) -> None:
    async with keyed_gateway(redis_url, tmp_path) as gateway:
        known = await gateway.make_key(expire_seconds=-1)
        authenticator = CredentialAuthenticator(gateway.keys)
        messages = set()
        for text in (ApiKeyText.draw(), ApiKeyText(known.key_id, ApiKeyText.draw().secret)):
            with pytest.raises(UnauthenticatedError) as raised:
                await authenticator.authenticate({"x-api-key": str(text)})
            messages.add((raised.value.reason, raised.value.message))
        # Not even that the key has expired is told to who does not hold it.
        assert len(messages) == 1


async def test_without_redis_nobody_is_let_in_and_told_to_come_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as store:
        client = connect_redis(store.url)
        authenticator = CredentialAuthenticator(ApiKeyStore(client))
        store.kill()
        with pytest.raises(StoreUnavailableError) as raised:
            await authenticator.authenticate({"x-api-key": str(ApiKeyText.draw())})
        assert raised.value.retry_seconds > 0
        await client.aclose()
