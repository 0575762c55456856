"""The real oidc-provider gives out tokens; the gateway takes them, through rotation and loss."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from keyed_gateway import KeyedGateway, announce, keyed_gateway
from oidc_server import AUDIENCE, OidcServer, header_of, running_oidc_server

from telecine.auth_settings import AccessTokenSettings, AuthSettings
from telecine.client import (
    AsyncClient,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from telecine.v1 import account_pb2, model_pb2

REFRESH_SECONDS = 0.3


@pytest.fixture(scope="module")
def oidc() -> Iterator[OidcServer]:
    with running_oidc_server() as running:
        yield running


@pytest.fixture
async def gateway(
    oidc: OidcServer, redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> AsyncIterator[KeyedGateway]:
    async with keyed_gateway(redis_url, tmp_path, auth=auth_of(oidc)) as running:
        await announce(running, toybox)
        yield running


def auth_of(oidc: OidcServer) -> AuthSettings:
    return AuthSettings(
        is_required=True,
        access_tokens=AccessTokenSettings(
            issuer=oidc.issuer,
            audience=AUDIENCE,
            jwks_url=oidc.jwks_url,
            leeway_seconds=0,
            refresh_seconds=REFRESH_SECONDS,
            refetch_seconds=0.1,
        ),
    )


async def caller_of(gateway: KeyedGateway, token: str) -> account_pb2.Caller:
    async with AsyncClient(gateway.address, api_key=token) as client:
        return await client.get_caller()


async def wait_until_refused(gateway: KeyedGateway, token: str) -> UnauthenticatedError:
    async with asyncio.timeout(20):
        while True:
            try:
                await caller_of(gateway, token)
            except UnauthenticatedError as error:
                return error
            await asyncio.sleep(0.05)


async def test_a_token_makes_a_video_for_its_tenant(
    gateway: KeyedGateway, oidc: OidcServer
) -> None:
    token = oidc.token()
    assert header_of(token)["typ"] == "at+jwt"
    assert await caller_of(gateway, token) == account_pb2.Caller(
        tenant="acme", principal="robot", scopes=["videos:read", "videos:write"]
    )
    async with AsyncClient(gateway.address, api_key=lambda: token) as client:
        video = await client.create_video("a red circle")
        assert [found.name async for found in client.list_videos()] == [video.name]


async def test_a_scope_that_was_not_granted_is_missing(
    gateway: KeyedGateway, oidc: OidcServer
) -> None:
    async with AsyncClient(gateway.address, api_key=oidc.token("videos:read")) as client:
        with pytest.raises(PermissionDeniedError, match="videos:write"):
            await client.create_video("a red circle")
    # The server leaves an unknown scope out, and the token has none at all.
    assert not (await caller_of(gateway, oidc.token("videos:shred"))).scopes


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
async def test_a_rotated_key_is_taken_and_the_one_before_goes_on(
    gateway: KeyedGateway, oidc: OidcServer, algorithm: str
) -> None:
    old = oidc.token()
    await caller_of(gateway, old)
    oidc.rotate(algorithm)
    new = oidc.token()
    assert header_of(new)["alg"] == algorithm
    assert header_of(new)["kid"] != header_of(old)["kid"]
    await asyncio.sleep(0.1)  # an unknown key is asked for this often
    await caller_of(gateway, new)
    await caller_of(gateway, old)


async def test_tokens_of_a_withdrawn_key_end(gateway: KeyedGateway, oidc: OidcServer) -> None:
    token = oidc.token()
    await caller_of(gateway, token)
    oidc.rotate("ES256", is_old_withdrawn=True)
    error = await wait_until_refused(gateway, token)
    assert error.reason == "ACCESS_TOKEN_INVALID"
    assert "does not have" in error.message


async def test_a_token_for_another_service_is_refused(
    gateway: KeyedGateway, oidc: OidcServer
) -> None:
    with pytest.raises(UnauthenticatedError, match="another audience"):
        await caller_of(gateway, oidc.token(audience="https://other.test"))


async def test_a_token_of_another_server_is_refused(gateway: KeyedGateway) -> None:
    with running_oidc_server() as other, pytest.raises(UnauthenticatedError) as raised:
        await caller_of(gateway, other.token())
    assert raised.value.reason == "ACCESS_TOKEN_INVALID"


async def test_a_token_that_was_good_is_refused_after_its_second(
    gateway: KeyedGateway, oidc: OidcServer
) -> None:
    error = await wait_until_refused(gateway, oidc.token(client="brief"))
    assert error.reason == "ACCESS_TOKEN_EXPIRED"


async def test_known_keys_go_on_when_the_server_is_gone(redis_url: str, tmp_path: Path) -> None:
    with running_oidc_server() as oidc:
        old = oidc.token()
        oidc.rotate("ES256", is_old_withdrawn=True)
        known, unknown = oidc.token(), old
        async with keyed_gateway(redis_url, tmp_path, auth=auth_of(oidc)) as gateway:
            await caller_of(gateway, known)
            oidc.kill()
            await asyncio.sleep(REFRESH_SECONDS)
            await caller_of(gateway, known)
            # Whether the issuer has this key cannot be found out now.
            with pytest.raises(UnavailableError, match="cannot be fetched"):
                await caller_of(gateway, unknown)
            key = await gateway.make_key()
            assert (await caller_of(gateway, str(key))).principal == f"apiKeys/{key.key_id}"
