"""Deliveries of webhooks are kept until they are made."""

import asyncio
from dataclasses import replace

from redis.asyncio import Redis
from submissions import make_submission

from telecine.jobs.job_store import JobStore
from telecine.jobs.webhook_queue import Delivery, WebhookQueue

URL = "https://example.com/told"


async def claimed(queue: WebhookQueue, *, hold_seconds: int = 60) -> list[Delivery]:
    return await queue.claim(max_webhooks=10, hold_seconds=hold_seconds)


async def end_video(store: JobStore) -> None:
    """One whose end is to be told."""
    video = await store.submit(replace(make_submission(), webhook_url=URL))
    await store.cancel(video.name)


async def test_end_of_a_video_that_asks_for_it_is_to_be_told(
    store: JobStore, client: Redis
) -> None:
    queue = WebhookQueue(client)
    told = await store.submit(replace(make_submission(), webhook_url=URL))
    untold = await store.submit(make_submission())
    assert await claimed(queue) == []
    for video in (told, untold):
        await store.cancel(video.name)
    (delivery,) = await claimed(queue)
    assert f"videos/{delivery.video_id}" == told.name
    assert (delivery.url, delivery.state, delivery.num_tries) == (URL, "CANCELLED", 1)
    await queue.finish(delivery)
    assert not await client.keys("*:webhook*")


async def test_delivery_of_one_who_dies_is_another_s_after_a_while(
    store: JobStore, client: Redis
) -> None:
    queue = WebhookQueue(client)
    await end_video(store)
    (first,) = await claimed(queue, hold_seconds=1)
    assert await claimed(queue) == []
    async with asyncio.timeout(20):
        while not (again := await claimed(queue)):  # noqa: ASYNC110 (the store's clock alone knows)
            await asyncio.sleep(0.05)
    assert again == [replace(first, num_tries=2)]


async def test_delivery_that_is_put_back_keeps_its_tries(store: JobStore, client: Redis) -> None:
    queue = WebhookQueue(client)
    await end_video(store)
    (delivery,) = await claimed(queue)
    await queue.put_back(delivery, wait_seconds=0)
    assert await claimed(queue) == [delivery]
    await queue.finish(delivery)
    await queue.put_back(delivery, wait_seconds=0)  # late: it was made meanwhile
    assert await claimed(queue) == []
    assert not await client.keys("*:webhook*")


async def test_delivery_waits_for_its_next_try(store: JobStore, client: Redis) -> None:
    queue = WebhookQueue(client)
    await end_video(store)
    (delivery,) = await claimed(queue)
    await queue.retry(delivery, wait_seconds=60)
    assert await claimed(queue) == []
    await queue.retry(delivery, wait_seconds=0)
    assert len(await claimed(queue)) == 1
    await queue.finish(delivery)
    await queue.retry(delivery, wait_seconds=0)  # late: it was made meanwhile
    assert await claimed(queue) == []
