"""Tells callers by webhook that their videos have ended, as Standard Webhooks has it."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from pydantic import SecretStr

from telecine.api.guarded_client import GuardedClient, OutsideError
from telecine.errors import StoreUnavailableError
from telecine.jobs.webhook_queue import Delivery, WebhookQueue
from telecine.webhook_settings import WEBHOOK_SECRET_PREFIX, WebhookSettings

_AT_ONCE, _AT_ONCE_OF_A_TENANT = 64, 16
_MAX_CLAIMS = 8  # of a round, in which those of a tenant that has its share are put back
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
        self._under_way: dict[asyncio.Task[None], str] = {}
        """The deliveries that are being made, each with its tenant."""

    async def run(self) -> None:
        """Sends for ever."""
        try:
            while True:
                with suppress(StoreUnavailableError):
                    await self._begin_due()
                await asyncio.sleep(self._settings.poll_seconds)
        finally:
            for task in self._under_way:
                task.cancel()

    async def _begin_due(self) -> None:
        """Begins what is due, as far as there is room for it: a slow receiver holds up no other."""
        hold_seconds = int(2 * self._settings.timeout_seconds) + 1
        for _ in range(_MAX_CLAIMS):
            room = _AT_ONCE - len(self._under_way)
            if not room:
                return
            due = await self._queue.claim(max_webhooks=room, hold_seconds=hold_seconds)
            for delivery in due:
                of_tenant = list(self._under_way.values()).count(delivery.tenant)
                if of_tenant < _AT_ONCE_OF_A_TENANT:
                    self._begin(delivery)
                else:
                    wait_seconds = self._settings.poll_seconds
                    await self._queue.put_back(delivery, wait_seconds=wait_seconds)
            if len(due) < room:
                return

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._send(delivery))
        self._under_way[task] = delivery.tenant
        task.add_done_callback(self._under_way.pop)

    async def _send(self, delivery: Delivery) -> None:
        try:
            outcome = await self._post(delivery)
        except Exception as error:  # a fault of ours must not have it tried for ever
            _log.exception("webhook_failed", video=delivery.video_id)
            outcome = type(error).__name__
        with suppress(StoreUnavailableError):  # then it is claimed again when its time is over
            await self._note(delivery, outcome)

    async def _note(self, delivery: Delivery, outcome: str) -> None:
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
