"""Checks OAuth2 access tokens: JWTs as RFC 9068 has them, of one issuer for one audience."""

import math
import re
import time
from collections.abc import Callable
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from telecine.api.auth.active_keys import expired_token_error
from telecine.api.auth.issuer_keys import IssuerKeys
from telecine.api.caller import Caller, Scope
from telecine.api.request_validation import RESOURCE_ID
from telecine.auth_settings import AccessTokenSettings
from telecine.errors import UnauthenticatedError

_MAX_HEADER_CHARACTERS = 680  # 512 bytes, joserfc's own limit, which it looks at too late
_MAX_SUBJECT_CHARACTERS = 255
_TENANT = re.compile(RESOURCE_ID)
_SCOPES = frozenset(Scope)


class _Registry(jws.JWSRegistry):
    """The algorithms allowed, without joserfc's warning that RFC 9864 calls EdDSA Ed25519 now."""

    def get_alg(self, name: str) -> Any:
        if name == "EdDSA" and name in (self.allowed or ()):
            return self.algorithms[name]
        return super().get_alg(name)


class AccessTokenVerifier:
    """Finds out who an access token was made for."""

    def __init__(
        self, settings: AccessTokenSettings, *, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._keys = IssuerKeys(settings)
        self._registry = _Registry(algorithms=settings.algorithms, strict_check_header=False)
        self._now = now

    async def verify(self, text: str) -> Caller:
        """Returns the caller that a token names.

        Raises:
            UnauthenticatedError: the token is not of this issuer, for this service and of now.
            UnavailableError: its key is not known, and the issuer cannot be asked.
        """
        header = self._check_header(text)
        key = await self._keys.find(header["kid"])
        try:
            token = jwt.decode(text, key, registry=self._registry)
        except (JoseError, ValueError) as error:
            raise _invalid("its signature does not hold") from error
        self._check_claims(token.claims)
        return self._caller(token.claims)

    async def close(self) -> None:
        """Ends the connection to the issuer."""
        await self._keys.close()

    def _check_header(self, text: str) -> dict[str, Any]:
        """Nothing here is proved yet; it only picks the key, and saves asking the issuer."""
        if text.find(".") > _MAX_HEADER_CHARACTERS:
            raise _invalid("its header is too long")
        try:
            header = jws.extract_compact(text.encode()).headers()
        except (JoseError, ValueError) as error:
            raise _invalid("it is no JWT") from error
        if header.get("alg") not in self._settings.algorithms:
            raise _invalid(f"it is not signed with {', '.join(self._settings.algorithms)}")
        kind = header.get("typ")
        if not isinstance(kind, str) or _short_type(kind) not in self._settings.types:
            raise _invalid(f"its typ is not {' or '.join(self._settings.types)}")
        if not isinstance(header.get("kid"), str):
            raise _invalid("it has no kid")
        return header

    def _check_claims(self, claims: dict[str, Any]) -> None:
        if claims.get("iss") != self._settings.issuer:
            raise _invalid("it is of another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._settings.audience not in audiences:
            raise _invalid("it is for another audience")
        now, leeway = self._now(), self._settings.leeway_seconds
        if _time(claims, "exp", required=True) <= now - leeway:
            raise expired_token_error()
        if max(_time(claims, "nbf"), _time(claims, "iat")) > now + leeway:
            raise _invalid("its time has not come")

    def _caller(self, claims: dict[str, Any]) -> Caller:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS:
            raise _invalid("it has no subject")
        tenant = claims.get(self._settings.tenant_claim)
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise _invalid(f"its claim {self._settings.tenant_claim} names no tenant")
        scopes = claims.get(self._settings.scope_claim, "")
        granted = scopes.split(" ") if isinstance(scopes, str) else scopes
        if not isinstance(granted, list):
            raise _invalid(f"its claim {self._settings.scope_claim} holds no scopes")
        known = frozenset(scope for scope in granted if isinstance(scope, str)) & _SCOPES
        expire_time = _time(claims, "exp", required=True) + self._settings.leeway_seconds
        return Caller(tenant=tenant, principal=subject, scopes=known, expire_time=expire_time)


def _time(claims: dict[str, Any], name: str, *, required: bool = False) -> float:
    value = claims.get(name)
    if value is None and not required:
        return 0.0
    # A bool is an int in Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(f"its claim {name} is no time")
    return float(value)


def _short_type(kind: str) -> str:
    """RFC 7515 lets `application/` be left out."""
    return kind.lower().removeprefix("application/")


def _invalid(reason: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the access token does not count: {reason}", reason="ACCESS_TOKEN_INVALID"
    )
