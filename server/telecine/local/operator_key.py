"""Keys with every scope, made by whoever can reach Redis: the first ones, which make all others."""

import asyncio
import os
from pathlib import Path

from telecine.api.api_keys import check_tenant, new_api_key
from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.caller import LOCAL_CALLER, Scope
from telecine.jobs.api_key_store import ApiKeyStore, StoredKey
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import account_pb2

_OWNER_ONLY = 0o600


def make_operator_key(redis_url: str, *, tenant: str) -> str:
    """Make a key that may do everything, and return its secret.

    Raises:
        InvalidFieldError: no tenant can have that name.
        StoreUnavailableError: Redis cannot be reached.
    """
    check_tenant(tenant, field="tenant")
    return asyncio.run(_make(redis_url, tenant))


def keep_local_key(file: Path, redis_url: str) -> None:
    """See to it that the file holds a key that the store knows, for its owner's eyes alone.

    A new store gets the file's key, so that programs that hold it go on. Where the file is gone or
    damaged, or its key was revoked, there is a new one.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    text = ApiKeyText.parse(file.read_text().strip()) if file.exists() else None
    asyncio.run(_keep(file, redis_url, text))


async def _make(redis_url: str, tenant: str) -> str:
    redis = connect_redis(redis_url)
    text = ApiKeyText.draw()
    try:
        await _add(ApiKeyStore(redis), text, tenant=tenant, display_name="telecine keys bootstrap")
    finally:
        await redis.aclose()
    return str(text)


async def _keep(file: Path, redis_url: str, text: ApiKeyText | None) -> None:
    redis = connect_redis(redis_url)
    store = ApiKeyStore(redis)
    try:
        stored = await store.find(text.key_id) if text else None
        if text is not None and stored is not None and _opens(text, stored):
            return
        if text is None or stored is not None:
            text = ApiKeyText.draw()
        await _add(store, text, tenant=LOCAL_CALLER.tenant, display_name="telecine up")
        _write(file, text)
    finally:
        await redis.aclose()


async def _add(store: ApiKeyStore, text: ApiKeyText, *, tenant: str, display_name: str) -> None:
    key = new_api_key(text, tenant=tenant, scopes=frozenset(Scope))
    key.display_name = display_name
    await store.add(key, text.digest)


def _opens(text: ApiKeyText, stored: StoredKey) -> bool:
    return text.is_secret_of(stored.digest) and stored.key.state == account_pb2.ApiKey.STATE_ACTIVE


def _write(file: Path, text: ApiKeyText) -> None:
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Made for its owner alone from the first moment on, not afterwards.
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(handle, "w") as stream:
        stream.write(f"{text}\n")
    draft.replace(file)
