"""Tells callers by webhook that their videos have ended, as Standard Webhooks has it."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence

import structlog
from pydantic import SecretStr

from telecine.api.guarded_client import GuardedClient, OutsideError
from telecine.errors import StoreUnavailableError
from telecine.jobs.webhook_queue import Delivery, WebhookQueue
from telecine.webhook_settings import WEBHOOK_SECRET_PREFIX, WebhookSettings

_AT_ONCE = 16
_TYPES = {"SUCCEEDED": "video.completed", "FAILED": "video.failed", "CANCELLED": "video.failed"}
_GONE = 410
_log = structlog.get_logger(__name__)


class WebhookSender:
    """Makes the deliveries that are due, a few at a time, until they are answered with 2xx.

    A delivery is made at least once: a gateway that dies before it has noted the answer leaves it
    to the next. Its `webhook-id` is the same each time.
    """

    def __init__(self, queue: WebhookQueue, web: GuardedClient, settings: WebhookSettings) -> None:
        self._queue = queue
        self._web = web
        self._settings = settings

    async def run(self) -> None:
        """Sends for ever."""
        while True:
            try:
                num_sent = await self._send_due()
            except StoreUnavailableError:
                num_sent = 0
            if num_sent < _AT_ONCE:
                await asyncio.sleep(self._settings.poll_seconds)

    async def _send_due(self) -> int:
        hold_seconds = int(2 * self._settings.timeout_seconds) + 1
        due = await self._queue.claim(max_webhooks=_AT_ONCE, hold_seconds=hold_seconds)
        await asyncio.gather(*map(self._send, due))
        return len(due)

    async def _send(self, delivery: Delivery) -> None:
        outcome = await self._post(delivery)
        if outcome == "":
            await self._queue.finish(delivery)
        elif outcome == str(_GONE) or delivery.num_tries >= self._settings.max_tries:
            _log.warning("webhook_given_up", video=delivery.video_id, reason=outcome)
            await self._queue.finish(delivery)
        else:
            wait_seconds = self._settings.retry_seconds * 2 ** (delivery.num_tries - 1)
            await self._queue.retry(
                delivery, wait_seconds=min(wait_seconds, self._settings.max_retry_seconds)
            )

    async def _post(self, delivery: Delivery) -> str:
        """Makes a delivery; returns what went wrong, nothing where nothing did."""
        secrets = self._settings.secrets.get(delivery.tenant)
        if secrets is None:
            return "the tenant has no secret any more"
        content = content_of(delivery)
        headers = signed_headers(f"msg_{delivery.video_id}", content, secrets, time.time())
        try:
            status = await self._web.post(
                delivery.url, content, headers=headers, seconds=self._settings.timeout_seconds
            )
        except OutsideError as error:
            return str(error)
        return "" if 200 <= status < 300 else str(status)


def content_of(delivery: Delivery) -> bytes:
    """Returns what is sent: that the video has ended and how; the rest is asked for."""
    event = {
        "type": _TYPES[delivery.state],
        "timestamp": delivery.end_micros // 1_000_000,
        "data": {"id": delivery.video_id, "object": "video", "state": delivery.state},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def signed_headers(
    message_id: str, content: bytes, secrets: Sequence[SecretStr], now: float
) -> Mapping[str, str]:
    """Returns the headers by which a receiver knows that a message is ours, and not an old one."""
    timestamp = str(int(now))
    signed = b".".join((message_id.encode(), timestamp.encode(), content))
    return {
        "content-type": "application/json",
        "user-agent": "telecine",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(signed, secret) for secret in secrets),
    }


def _signature(signed: bytes, secret: SecretStr) -> str:
    key = base64.b64decode(secret.get_secret_value().removeprefix(WEBHOOK_SECRET_PREFIX))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
