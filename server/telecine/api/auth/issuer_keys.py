"""The keys that an issuer signs access tokens with: fetched by URL, kept in memory, rotated."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, RSAKey

from telecine.auth_settings import AccessTokenSettings
from telecine.errors import UnauthenticatedError, UnavailableError

_MAX_ANSWER_BYTES = 256 << 10
_MAX_KEYS = 64
_MIN_RSA_BITS = 2048
# A symmetric key in a public document would let everyone sign.
_PUBLIC_KINDS = frozenset({"RSA", "EC", "OKP"})
_log = structlog.get_logger(__name__)


class IssuerKeys:
    """Finds the key that signed a token.

    A fetch replaces all keys, so one that the issuer has withdrawn goes. One that fails leaves
    them as they are, for `max_stale_seconds` at most.
    """

    def __init__(
        self, settings: AccessTokenSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=settings.timeout_seconds, follow_redirects=False, trust_env=False
        )
        self._lock = asyncio.Lock()
        self._keys: dict[str, Key] = {}
        self._fetch_time = -float("inf")
        self._try_time = -float("inf")
        self._failure = ""

    async def find(self, key_id: str) -> Key:
        """Returns the key of that id.

        Raises:
            UnauthenticatedError: the issuer has none of that id.
            UnavailableError: none is known, and the issuer cannot be asked.
        """
        if key_id not in self._keys or self._is_fetch_due(key_id):
            async with self._lock:  # one fetch for all who wait
                if self._is_fetch_due(key_id):
                    await self._fetch()
        self._drop_stale()
        if key_id in self._keys:
            return self._keys[key_id]
        if self._failure:
            raise UnavailableError(
                f"the issuer's keys cannot be fetched: {self._failure}",
                retry_seconds=self._settings.refetch_seconds,
            )
        raise UnauthenticatedError(
            "the access token is signed with a key that its issuer does not have",
            reason="ACCESS_TOKEN_INVALID",
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    def _is_fetch_due(self, key_id: str) -> bool:
        now = self._clock()
        if now - self._try_time < self._settings.refetch_seconds:
            return False
        is_old = now - self._fetch_time >= self._settings.refresh_seconds
        return is_old or key_id not in self._keys

    def _drop_stale(self) -> None:
        if self._clock() - self._fetch_time > self._settings.max_stale_seconds:
            self._keys = {}

    async def _fetch(self) -> None:
        self._try_time = self._clock()
        try:
            # The client's own time-out is for each read, which a slow server may stretch for ever.
            async with asyncio.timeout(self._settings.timeout_seconds):
                self._keys = read_key_set(await self._get())
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            self._failure = str(error) or type(error).__name__
            _log.warning("issuer_keys_not_fetched", reason=self._failure)
            return
        self._failure = ""
        self._fetch_time = self._clock()
        _log.info("issuer_keys_fetched", num_keys=len(self._keys))

    async def _get(self) -> bytes:
        async with self._client.stream("GET", self._settings.jwks_url) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            answer = bytearray()
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > _MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too long")
        return bytes(answer)


def read_key_set(document: bytes) -> dict[str, Key]:
    """Returns the keys of a JWK set that can check signatures, by id; leaves the others out.

    Raises:
        ValueError: it is no JWK set, or has no such key.
    """
    try:
        entries = json.loads(document)["keys"]
        found = [_read_key(entry) for entry in entries[:_MAX_KEYS]]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a JWK set: {error}") from error
    keys = {key.kid: key for key in found if key is not None and key.kid}
    if not keys:
        raise ValueError("the JWK set has no key that can check signatures")
    return keys


def _read_key(entry: dict[str, Any]) -> Key | None:
    is_for_signatures = entry.get("kty") in _PUBLIC_KINDS and entry.get("use", "sig") == "sig"
    if not is_for_signatures or not isinstance(entry.get("kid"), str):
        return None
    try:
        key = JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, LookupError):
        return None
    if isinstance(key, RSAKey) and key.raw_value.key_size < _MIN_RSA_BITS:
        return None
    return key
