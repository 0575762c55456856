"""A token counts if its issuer signed it, for this service, for now; nothing else does."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import Key
from token_issuer import AUDIENCE, TokenIssuer, make_key, running_issuer, unsigned_token

from telecine.api.auth.access_tokens import AccessTokenVerifier
from telecine.api.caller import Caller
from telecine.errors import UnauthenticatedError

NOW = int(time.time())


@pytest.fixture(scope="module")
def rsa_key() -> Key:
    return make_key("RS256", "r")


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
async def verifier(issuer: TokenIssuer) -> AsyncIterator[AccessTokenVerifier]:
    made = AccessTokenVerifier(issuer.settings())
    yield made
    await made.close()


def _as_token(parts: list[bytes]) -> str:
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def refusal(verifier: AccessTokenVerifier, token: str) -> UnauthenticatedError:
    with pytest.raises(UnauthenticatedError) as raised:
        await verifier.verify(token)
    return raised.value


async def test_a_token_names_its_caller(verifier: AccessTokenVerifier, issuer: TokenIssuer) -> None:
    token = issuer.token(scope="videos:read openid admin", exp=NOW + 600)
    assert await verifier.verify(token) == Caller(
        tenant="acme",
        principal="robot",
        scopes=frozenset({"videos:read", "admin"}),
        expire_time=NOW + 605,  # with the leeway
    )


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA", "Ed25519"])
async def test_each_algorithm_is_taken(
    verifier: AccessTokenVerifier, issuer: TokenIssuer, rsa_key: Key, kind: str
) -> None:
    key = rsa_key if kind == "RS256" else make_key(kind, "k")
    issuer.keys = [key]
    # joserfc signs with the newer name alone; the signature is over the header, so the older one
    # is signed by hand.
    token = issuer.token() if kind != "EdDSA" else _eddsa_token(issuer, key)
    assert (await verifier.verify(token)).tenant == "acme"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"iss": "https://other.test"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "https://other.test"}, "another audience"),
        ({"aud": ["https://other.test"]}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"exp": None}, "exp is no time"),
        ({"exp": "soon"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": float("nan")}, "exp is no time"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"nbf": NOW + 3600}, "its time has not come"),
        ({"iat": NOW + 3600}, "its time has not come"),
        ({"sub": None}, "no subject"),
        ({"sub": "x" * 256}, "no subject"),
        ({"tenant": None}, "tenant names no tenant"),
        ({"tenant": ["acme"]}, "tenant names no tenant"),
        ({"tenant": "../acme"}, "tenant names no tenant"),
        ({"tenant": "acme\n"}, "tenant names no tenant"),
        ({"scope": 7}, "scope holds no scopes"),
    ],
)
async def test_a_claim_that_does_not_fit_is_refused_by_its_name(
    verifier: AccessTokenVerifier, issuer: TokenIssuer, claims: dict[str, Any], told: str
) -> None:
    error = await refusal(verifier, issuer.token(**claims))
    assert error.reason == "ACCESS_TOKEN_INVALID"
    assert told in error.message


async def test_an_expired_token_is_refused_as_such(
    verifier: AccessTokenVerifier, issuer: TokenIssuer
) -> None:
    assert (await refusal(verifier, issuer.token(exp=NOW - 60))).reason == "ACCESS_TOKEN_EXPIRED"


async def test_a_captured_token_opens_nothing_after_its_end(issuer: TokenIssuer) -> None:
    now = float(NOW)
    verifier = AccessTokenVerifier(issuer.settings(), now=lambda: now)
    token = issuer.token(iat=NOW, nbf=NOW, exp=NOW + 60)
    await verifier.verify(token)
    now += 61  # clocks may be 5 s apart
    await verifier.verify(token)
    now += 5
    assert (await refusal(verifier, token)).reason == "ACCESS_TOKEN_EXPIRED"
    await verifier.close()


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "RS512", "PS256", "", 1])
async def test_other_algorithms_are_refused_before_a_key_is_looked_for(
    verifier: AccessTokenVerifier, issuer: TokenIssuer, alg: object
) -> None:
    token = unsigned_token({"alg": alg, "kid": "a", "typ": "at+jwt"})
    assert (await refusal(verifier, token)).reason == "ACCESS_TOKEN_INVALID"
    assert issuer.num_fetches == 0


async def test_the_public_key_is_no_secret_to_sign_with(
    verifier: AccessTokenVerifier, issuer: TokenIssuer, rsa_key: Key
) -> None:
    issuer.keys = [rsa_key]
    public = rsa_key.as_pem(private=False)
    head = unsigned_token({"alg": "HS256", "kid": rsa_key.kid, "typ": "at+jwt"}).rpartition(".")[0]
    signature = hmac.new(public, head.encode(), hashlib.sha256).digest()
    token = f"{head}.{unsigned_token({}, signature).rpartition('.')[2]}"
    assert (await refusal(verifier, token)).reason == "ACCESS_TOKEN_INVALID"
    forged = unsigned_token({"alg": "RS256", "kid": rsa_key.kid, "typ": "at+jwt"}, signature)
    assert "signature" in (await refusal(verifier, forged)).message


async def test_only_the_algorithms_set_are_taken(issuer: TokenIssuer, rsa_key: Key) -> None:
    issuer.keys = [rsa_key]
    verifier = AccessTokenVerifier(issuer.settings(algorithms=["ES256"]))
    assert "not signed with ES256" in (await refusal(verifier, issuer.token())).message
    await verifier.close()


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"typ": None}, "typ is not at+jwt"),
        ({"typ": "JWT"}, "typ is not at+jwt"),
        ({"kid": None}, "no kid"),
        ({"kid": "b"}, "does not have"),
    ],
)
async def test_a_header_that_does_not_fit_is_refused(
    verifier: AccessTokenVerifier, issuer: TokenIssuer, header: dict[str, Any], told: str
) -> None:
    assert told in (await refusal(verifier, issuer.token(header=header))).message


async def test_unknown_header_fields_are_ignored_and_the_long_type_is_taken(
    verifier: AccessTokenVerifier, issuer: TokenIssuer
) -> None:
    token = issuer.token(header={"typ": "application/at+jwt", "cat": "x"}, aud=["b", AUDIENCE])
    assert (await verifier.verify(token)).tenant == "acme"


async def test_a_token_of_another_key_of_the_same_id_is_refused(
    verifier: AccessTokenVerifier, issuer: TokenIssuer
) -> None:
    token = issuer.token(key=make_key("ES256", "a"))
    assert "signature" in (await refusal(verifier, token)).message


async def test_changed_claims_break_the_signature(
    verifier: AccessTokenVerifier, issuer: TokenIssuer
) -> None:
    head, _, signature = issuer.token().split(".")
    _, claims, _ = issuer.token(tenant="other").split(".")
    assert "signature" in (await refusal(verifier, f"{head}.{claims}.{signature}")).message


@pytest.mark.parametrize(
    "text", ["x", "..", "a.b", "a.b.c", "e30.e30.", "e30.e30.e30.e30", "é.é.é"]
)
async def test_what_is_no_token_is_refused(verifier: AccessTokenVerifier, text: str) -> None:
    assert (await refusal(verifier, text)).reason == "ACCESS_TOKEN_INVALID"


@pytest.mark.parametrize("header", ["[" * 6000, '{"alg": "ES256", "x": ' + "[" * 450, "[" * 500])
async def test_a_header_made_to_exhaust_the_parser_is_refused(
    verifier: AccessTokenVerifier, header: str
) -> None:
    text = base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode()
    assert (await refusal(verifier, f"{text}.e30.AAAA")).reason == "ACCESS_TOKEN_INVALID"


def test_whatever_comes_is_refused_and_breaks_nothing() -> None:
    verifier = AccessTokenVerifier(TokenIssuer(jwks_url="http://127.0.0.1:1/jwks").settings())

    @given(st.text() | st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(_as_token))
    @settings(max_examples=300, deadline=None)
    def check(text: str) -> None:
        assert asyncio.run(refusal(verifier, text)).reason == "ACCESS_TOKEN_INVALID"

    check()
    asyncio.run(verifier.close())


async def test_the_claims_of_tenant_and_scopes_are_settings(issuer: TokenIssuer) -> None:
    settings = issuer.settings(tenant_claim="org", scope_claim="permissions", types=["jwt"])
    verifier = AccessTokenVerifier(settings)
    token = issuer.token(
        header={"typ": "JWT"}, org="acme", permissions=["admin", 7], tenant=None, scope=None
    )
    caller = await verifier.verify(token)
    assert (caller.tenant, caller.scopes) == ("acme", frozenset({"admin"}))
    await verifier.close()


def _eddsa_token(issuer: TokenIssuer, key: Key) -> str:
    head = unsigned_token({"alg": "EdDSA", "kid": key.kid, "typ": "at+jwt"}).rpartition(".")[0]
    signature = key.get_op_key("sign").sign(head.encode())
    return f"{head}.{unsigned_token({}, signature).rpartition('.')[2]}"
