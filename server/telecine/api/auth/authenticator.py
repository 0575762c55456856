"""Finds out who makes a call; every edge asks the same object."""

import ipaddress
import time
from collections.abc import Collection, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from telecine.api.auth.access_tokens import AccessTokenVerifier
from telecine.api.auth.active_keys import require_active_key, unknown_key_error
from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.auth.credentials import AccessTokenText, read_credentials
from telecine.api.caller import LOCAL_CALLER, Caller
from telecine.config import GatewaySettings
from telecine.errors import StoreUnavailableError, UnauthenticatedError
from telecine.jobs.api_key_store import ApiKeyStore

_USE_SECONDS = 60.0
_MAX_USES = 10_000
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")
_log = structlog.get_logger(__name__)


class UnsafeAddressError(Exception):
    """The gateway would serve other machines and ask nobody who they are."""


class Authenticator(Protocol):
    """Says who makes a call."""

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Returns the caller; `headers` are by lower-case name.

        Raises:
            UnauthenticatedError: nobody whom the service knows.
            UnavailableError: that cannot be found out now.
        """

    async def close(self) -> None:
        """Ends its connections."""


class OpenAuthenticator:
    """Takes everyone for this machine's operator: for a gateway that only this machine reaches.

    Args:
        origins: other web pages that may call.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Returns the local caller, whatever the headers, unless they show another machine."""
        for name in _PROXY_HEADERS:
            if name in headers:
                raise _not_local(name, "came through a proxy")
        host = headers.get("host")
        # A web page may give its own name this machine's address, and then call it.
        if host is not None and not _is_loopback(_host_of(f"//{host}")):
            raise _not_local("host", "names another machine")
        if not self._may_call(headers.get("origin"), host):
            raise _not_local("origin", "comes from a web page that is not of this gateway")
        return LOCAL_CALLER

    async def close(self) -> None:
        """Has nothing to end."""

    def _may_call(self, origin: str | None, host: str | None) -> bool:
        if origin is None or "*" in self._origins or origin in self._origins:
            return True
        return origin in {f"http://{host}", f"https://{host}"}


class CredentialAuthenticator:
    """Takes API keys, and access tokens where an issuer is set."""

    def __init__(self, keys: ApiKeyStore, tokens: AccessTokenVerifier | None = None) -> None:
        self._keys = keys
        self._tokens = tokens
        self._use_times: dict[str, float] = {}

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Returns whose key or token the headers hold."""
        credentials = read_credentials(headers)
        if isinstance(credentials, ApiKeyText):
            return await self._caller_of_key(credentials)
        return await self._caller_of_token(credentials)

    async def close(self) -> None:
        """Ends the connection to the tokens' issuer."""
        if self._tokens is not None:
            await self._tokens.close()

    async def _caller_of_key(self, text: ApiKeyText) -> Caller:
        stored = await self._keys.find(text.key_id)
        if not text.is_secret_of(stored.digest if stored else None):
            raise unknown_key_error()
        key = require_active_key(stored)
        await self._note_use(key.name)
        has_end = key.HasField("expire_time")
        return Caller(
            tenant=key.tenant,
            principal=key.name,
            scopes=frozenset(key.scopes),
            tiers=tuple(key.tiers),
            key_id=text.key_id,
            expire_time=key.expire_time.ToNanoseconds() / 1e9 if has_end else None,
        )

    async def _caller_of_token(self, token: AccessTokenText) -> Caller:
        if self._tokens is None:
            raise UnauthenticatedError(
                "not an API key, and this gateway takes no access tokens",
                reason="CREDENTIALS_MALFORMED",
            )
        return await self._tokens.verify(token.text)

    async def _note_use(self, name: str) -> None:
        now = time.monotonic()
        if now - self._use_times.get(name, -_USE_SECONDS) < _USE_SECONDS:
            return
        if len(self._use_times) >= _MAX_USES:
            self._use_times.clear()
        self._use_times[name] = now
        try:
            await self._keys.note_use(name)
        except StoreUnavailableError as error:  # no reason to refuse the call
            _log.warning("key_use_not_noted", key=name, reason=error.message)


def open_authenticator(settings: GatewaySettings, keys: ApiKeyStore) -> Authenticator:
    """Returns what the settings ask for."""
    if not settings.auth.is_required:
        return OpenAuthenticator(settings.cors_origins)
    issuer = settings.auth.access_tokens
    return CredentialAuthenticator(keys, AccessTokenVerifier(issuer) if issuer else None)


def require_safe_address(settings: GatewaySettings) -> None:
    """Raises UnsafeAddressError for an open gateway on an address that other machines reach."""
    if not settings.auth.is_required and not _is_loopback(settings.host):
        raise UnsafeAddressError(
            f"gateway.host is {settings.host}, which other machines reach, and nobody would be "
            "asked for a key: set gateway.auth.is_required = true, or gateway.host = 127.0.0.1"
        )


def _not_local(header: str, reason: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"{header}: this gateway asks for no keys and serves its own machine alone, and the call "
        f"{reason}; set gateway.auth.is_required",
        reason="CREDENTIALS_MISSING",
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
