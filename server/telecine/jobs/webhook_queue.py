"""Deliveries of webhooks that are still to be made, kept until they are answered."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.keys import queue_key
from telecine.jobs.video_record import decode_record


@dataclass(frozen=True)
class Delivery:
    """One to make: that a video has ended.

    Attributes:
        state: how the video ended, `SUCCEEDED` say.
        end_micros: when, in microseconds since 1970.
        num_tries: which try this is, 1 for the first.
    """

    video_id: str
    tenant: str
    url: str
    state: str
    end_micros: int
    num_tries: int


class WebhookQueue:
    """The deliveries of one shard.

    All methods raise StoreUnavailableError while Redis cannot be reached.
    """

    def __init__(self, redis: Redis, *, shard: str = "0") -> None:
        self._library = FunctionLibrary(redis, queue_key(shard))

    async def claim(self, *, max_webhooks: int, hold_seconds: int) -> list[Delivery]:
        """Returns deliveries that are due; others may claim those not finished in the time."""
        arguments = {"max_webhooks": max_webhooks, "hold_seconds": hold_seconds}
        answers: Any = await self._library.call("claim_webhooks", arguments)
        return [_delivery(decode_record(answer)) for answer in answers]

    async def finish(self, delivery: Delivery) -> None:
        """Forgets a delivery: it was made, or given up."""
        await self._library.call("finish_webhook", {"video": delivery.video_id})

    async def retry(self, delivery: Delivery, *, wait_seconds: float) -> None:
        """Has a delivery made again, by whoever is there then."""
        await self._wait(delivery, wait_seconds, was_tried=True)

    async def put_back(self, delivery: Delivery, *, wait_seconds: float) -> None:
        """Has a delivery that was not tried made later."""
        await self._wait(delivery, wait_seconds, was_tried=False)

    async def _wait(self, delivery: Delivery, wait_seconds: float, *, was_tried: bool) -> None:
        arguments: dict[str, str | float] = {
            "video": delivery.video_id,
            "wait_seconds": wait_seconds,
            "was_tried": int(was_tried),
        }
        await self._library.call("retry_webhook", arguments)


def _delivery(record: dict[bytes, bytes]) -> Delivery:
    return Delivery(
        video_id=record[b"video"].decode(),
        tenant=record[b"tenant"].decode(),
        url=record[b"url"].decode(),
        state=record[b"state"].decode(),
        end_micros=int(record[b"end_time"]),
        num_tries=int(record[b"num_tries"]),
    )
