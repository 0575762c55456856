"""The operator's key outlives restarts, is its owner's alone, and is made anew when it must be."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.auth.authenticator import CredentialAuthenticator
from telecine.api.caller import Caller, Scope
from telecine.errors import InvalidFieldError, UnauthenticatedError
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.redis_client import connect_redis
from telecine.local.operator_key import keep_local_key, make_operator_key


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "api.key"
    assert not (tmp_path / "api.new").exists()


def caller_of(redis_url: str, secret: str) -> Caller:
    async def ask() -> Caller:
        client = connect_redis(redis_url)
        try:
            keys = CredentialAuthenticator(ApiKeyStore(client))
            return await keys.authenticate({"x-api-key": secret.strip()})
        finally:
            await client.aclose()

    return asyncio.run(ask())


def revoke(redis_url: str, secret: str) -> None:
    async def run() -> None:
        client = connect_redis(redis_url)
        key = ApiKeyText.parse(secret.strip())
        assert key is not None
        await ApiKeyStore(client).revoke(f"apiKeys/{key.key_id}")
        await client.aclose()

    asyncio.run(run())


def test_the_key_may_do_everything_and_is_the_owner_s_alone(redis_url: str, file: Path) -> None:
    keep_local_key(file, redis_url)
    assert file.stat().st_mode & 0o777 == 0o600
    caller = caller_of(redis_url, file.read_text())
    assert (caller.tenant, caller.scopes) == ("default", frozenset(Scope))


def test_a_second_start_keeps_the_key(redis_url: str, file: Path) -> None:
    keep_local_key(file, redis_url)
    first = file.read_text()
    keep_local_key(file, redis_url)
    assert file.read_text() == first


def test_a_new_store_gets_the_key_that_programs_hold(redis_url: str, file: Path) -> None:
    held = ApiKeyText.draw()
    file.write_text(f"{held}\n")
    file.chmod(0o644)
    keep_local_key(file, redis_url)
    assert file.read_text() == f"{held}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    caller_of(redis_url, str(held))


@pytest.mark.parametrize("content", ["", "tc_half", "\n\n"])
def test_a_damaged_file_gets_a_new_key(redis_url: str, file: Path, content: str) -> None:
    file.write_text(content)
    keep_local_key(file, redis_url)
    caller_of(redis_url, file.read_text())


def test_a_revoked_key_stays_dead_and_another_is_made(redis_url: str, file: Path) -> None:
    keep_local_key(file, redis_url)
    old = file.read_text()
    revoke(redis_url, old)
    keep_local_key(file, redis_url)
    caller_of(redis_url, file.read_text())
    with pytest.raises(UnauthenticatedError):
        caller_of(redis_url, old)


def test_a_file_with_another_secret_does_not_take_a_key_over(redis_url: str, file: Path) -> None:
    keep_local_key(file, redis_url)
    right = file.read_text()
    known = ApiKeyText.parse(right.strip())
    assert known is not None
    file.write_text(str(ApiKeyText(known.key_id, ApiKeyText.draw().secret)))
    keep_local_key(file, redis_url)
    assert file.read_text() != right
    caller_of(redis_url, right)


def test_the_first_key_of_a_cluster_is_made_in_the_store(redis_url: str) -> None:
    caller = caller_of(redis_url, make_operator_key(redis_url, tenant="acme"))
    assert (caller.tenant, caller.scopes) == ("acme", frozenset(Scope))
    with pytest.raises(InvalidFieldError):
        make_operator_key(redis_url, tenant="a/b")
