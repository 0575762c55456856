"""The settings of webhooks, a section of telecine.config."""

import base64
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from telecine.settings_section import Count, ResourceId, Seconds, Section

WEBHOOK_SECRET_PREFIX = "whsec_"


def _check_webhook_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    encoded = text.removeprefix(WEBHOOK_SECRET_PREFIX)
    if encoded == text or not 24 <= len(base64.b64decode(encoded, validate=True)) <= 64:
        msg = f"is not {WEBHOOK_SECRET_PREFIX} and 24 to 64 bytes in base64"
        raise ValueError(msg)
    return secret


def _as_several(secrets: object) -> object:
    return (secrets,) if isinstance(secrets, str | SecretStr) else secrets


WebhookSecret = Annotated[SecretStr, AfterValidator(_check_webhook_secret)]
WebhookSecrets = Annotated[
    tuple[WebhookSecret, ...], BeforeValidator(_as_several), Field(min_length=1)
]


class WebhookSettings(Section):
    """Who is told, and how, that a video has ended.

    Attributes:
        secrets: each tenant's key, `whsec_` and base64, with which what is sent to it is signed; a
            tenant without one has no webhooks. Of several, while one takes the other's place, each
            signs.
        urls: where a tenant is told of videos whose request names no URL.
        poll_seconds: how often it is looked what is to be sent.
        timeout_seconds: how long a receiver may take to answer.
        max_tries: after so many a delivery is given up.
        retry_seconds: the wait before the second try; it doubles each time.
        max_retry_seconds: the longest wait between two tries.
    """

    secrets: dict[ResourceId, WebhookSecrets] = Field(default_factory=dict)
    urls: dict[ResourceId, str] = Field(default_factory=dict)
    poll_seconds: Seconds = 1.0
    timeout_seconds: Seconds = 10.0
    max_tries: Count = 12
    retry_seconds: Seconds = 5.0
    max_retry_seconds: Seconds = 3600.0

    @model_validator(mode="after")
    def _require_a_secret_for_each_url(self) -> Self:
        if missing := sorted(self.urls.keys() - self.secrets.keys()):
            msg = f"urls has {', '.join(missing)}, of which secrets has none"
            raise ValueError(msg)
        return self
