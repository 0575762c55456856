"""The settings of who may call and how a server shows itself, sections of telecine.config."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from telecine.settings_section import Seconds, Section

SigningAlgorithm = Literal["RS256", "ES256", "EdDSA", "Ed25519"]


class TlsSettings(Section):
    """Certificates of a server, in PEM; files that change are read again.

    Attributes:
        cert: the server's certificate, then those between it and its root.
        key: its private key, not encrypted.
        client_ca: whose certificates clients must show (mTLS); None asks for none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


class AccessTokenSettings(Section):
    """OAuth2 access tokens, JWTs of one issuer.

    Attributes:
        issuer: what `iss` must be.
        audience: what `aud` must be or hold.
        jwks_url: where the issuer publishes its keys; without TLS on this machine alone.
        algorithms: how a token may be signed.
        types: what `typ` in its header may be.
        tenant_claim: the claim that names the tenant.
        scope_claim: the claim with the scopes, a list or divided by spaces.
        leeway_seconds: how far the clocks of issuer and gateway may be apart.
        refresh_seconds: how old the keys may be; one that the issuer withdraws is dropped then.
        refetch_seconds: how long after a fetch an unknown key brings about the next one.
        max_stale_seconds: how long keys are used while the issuer cannot be reached.
        timeout_seconds: how long a fetch may take.
    """

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    jwks_url: Annotated[
        str,
        Field(pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])[:/]\S*)$"),
    ]
    algorithms: Annotated[tuple[SigningAlgorithm, ...], Field(min_length=1)] = (
        "RS256",
        "ES256",
        "EdDSA",
        "Ed25519",
    )
    types: tuple[str, ...] = ("at+jwt",)
    tenant_claim: str = "tenant"
    scope_claim: str = "scope"
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 5.0
    refresh_seconds: Seconds = 300.0
    refetch_seconds: Seconds = 10.0
    max_stale_seconds: Seconds = 86_400.0
    timeout_seconds: Seconds = 5.0


class AuthSettings(Section):
    """Who may call.

    Attributes:
        is_required: whether every call needs an API key or an access token. Without it the gateway
            serves on this machine's own addresses alone, and everyone there is its operator.
        access_tokens: whose access tokens are taken besides API keys; None for nobody's.
    """

    is_required: bool = False
    access_tokens: AccessTokenSettings | None = None

    @model_validator(mode="after")
    def _require_what_is_set_up(self) -> Self:
        if self.access_tokens is not None and not self.is_required:
            msg = "access_tokens are set, but is_required is not: nobody would be asked for one"
            raise ValueError(msg)
        return self
