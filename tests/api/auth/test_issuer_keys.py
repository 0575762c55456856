"""An issuer's keys: fetched when needed, kept while it is away, dropped when it drops them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from token_issuer import TokenIssuer, make_key, running_issuer

from telecine.api.auth.issuer_keys import IssuerKeys, read_key_set
from telecine.errors import UnauthenticatedError, UnavailableError


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(issuer: TokenIssuer, clock: Clock) -> AsyncIterator[IssuerKeys]:
    settings = issuer.settings(refresh_seconds=300, refetch_seconds=10, max_stale_seconds=3600)
    made = IssuerKeys(settings, clock=clock)
    yield made
    await made.close()


async def test_keys_are_fetched_once_for_many(issuer: TokenIssuer, keys: IssuerKeys) -> None:
    found = await asyncio.gather(*(keys.find("a") for _ in range(20)))
    assert {key.kid for key in found} == {"a"}
    assert issuer.num_fetches == 1


async def test_a_new_key_is_found_and_an_unknown_one_asks_no_more_than_it_may(
    issuer: TokenIssuer, keys: IssuerKeys, clock: Clock
) -> None:
    await keys.find("a")
    issuer.keys.insert(0, make_key("ES256", "b"))
    for _ in range(50):
        with pytest.raises(UnauthenticatedError):
            await keys.find("b")
    assert issuer.num_fetches == 1
    clock.now += 10
    assert (await keys.find("b")).kid == "b"
    assert (await keys.find("a")).kid == "a"
    assert issuer.num_fetches == 2


async def test_a_key_that_the_issuer_has_withdrawn_is_dropped(
    issuer: TokenIssuer, keys: IssuerKeys, clock: Clock
) -> None:
    await keys.find("a")
    issuer.keys = [make_key("ES256", "b")]
    assert (await keys.find("a")).kid == "a"
    clock.now += 300
    with pytest.raises(UnauthenticatedError):
        await keys.find("a")


async def test_known_keys_go_on_while_the_issuer_is_away_and_end_in_the_end(
    issuer: TokenIssuer, keys: IssuerKeys, clock: Clock
) -> None:
    await keys.find("a")
    issuer.status = 500
    clock.now += 301
    assert (await keys.find("a")).kid == "a"
    assert issuer.num_fetches == 2
    with pytest.raises(UnavailableError, match="status 500") as raised:
        await keys.find("b")
    assert raised.value.retry_seconds == 10
    clock.now += 3600
    with pytest.raises(UnavailableError):
        await keys.find("a")
    issuer.status = 200
    clock.now += 10
    assert (await keys.find("a")).kid == "a"


async def test_an_issuer_that_was_never_there_makes_the_service_unavailable(clock: Clock) -> None:
    with running_issuer() as issuer:
        settings = issuer.settings()
    gone = IssuerKeys(settings, clock=clock)
    with pytest.raises(UnavailableError):
        await gone.find("a")
    await gone.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [1]}', b"0" * 300_000],
)
async def test_an_answer_that_is_no_key_set_leaves_the_old_keys(
    issuer: TokenIssuer, keys: IssuerKeys, clock: Clock, body: bytes
) -> None:
    await keys.find("a")
    issuer.body = body
    clock.now += 301
    assert (await keys.find("a")).kid == "a"
    with pytest.raises(UnavailableError):
        await keys.find("b")


async def test_a_redirect_is_not_followed(issuer: TokenIssuer, keys: IssuerKeys) -> None:
    issuer.status = 302
    with pytest.raises(UnavailableError, match="status 302"):
        await keys.find("a")


@pytest.mark.filterwarnings("ignore:Key size should be:joserfc.errors.SecurityWarning")
def test_keys_that_cannot_check_signatures_are_left_out() -> None:
    good = make_key("ES256", "good").as_dict(private=False)
    small = RSAKey.generate_key(1024, parameters={"kid": "small"}).as_dict(private=False)
    others: list[dict[str, Any]] = [
        {"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"},
        {**good, "kid": "for encryption", "use": "enc"},
        {name: value for name, value in good.items() if name != "kid"},
        {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "?", "y": "?"},
        {"kty": "AKP", "kid": "of a later day"},
        small,
    ]
    document = json.dumps({"keys": [*others, good]}).encode()
    assert list(read_key_set(document)) == ["good"]
    with pytest.raises(ValueError, match="no key that can check"):
        read_key_set(json.dumps({"keys": others}).encode())
