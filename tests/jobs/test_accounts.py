"""What a video costs its tenant, however it ends, and what is refused where there is too little."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from clocked_store import ClockedStore, set_clock
from redis.asyncio import Redis
from submissions import (
    NUM_STEPS,
    claim,
    claim_next,
    end_slice,
    lose_lease,
    make_step,
    make_submission,
)

from telecine.errors import LeaseLostError, NotFoundError, QuotaExceededError, StoreUnavailableError
from telecine.jobs.account_store import AccountStore
from telecine.jobs.job_store import MAX_LOST_LEASES, JobStore
from telecine.jobs.job_types import SpendingLimits, VideoQuery
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2

from .balances import REFUND, RESERVE, SETTLE, read_ledger, require_balance

PRICE = 1_000_001
FAILURE = video_pb2.Failure(reason="MODEL_FAILED")
ARTIFACT = video_pb2.Artifact(artifact_id="video.mp4", size_bytes=700)
End = Callable[[JobStore, str], Awaitable[object]]


@pytest.fixture
def accounts(client: Redis) -> AccountStore:
    return AccountStore(client)


async def succeed(store: JobStore, _name: str) -> None:
    await store.complete((await claim_next(store)).lease, [ARTIFACT])


async def fail(store: JobStore, _name: str) -> None:
    lease = (await claim_next(store)).lease
    await store.finish_step(lease, make_step(12))
    await store.fail(lease, FAILURE)


async def cancel_waiting(store: JobStore, name: str) -> None:
    await store.cancel(name)


async def cancel_running(store: JobStore, name: str) -> None:
    lease = (await claim_next(store)).lease
    await store.finish_step(lease, make_step(7))
    await store.cancel(name)
    await store.acknowledge_cancel(lease)


async def cancel_paused_after_a_slice(store: JobStore, name: str) -> None:
    lease = (await claim_next(store)).lease
    await end_slice(store, lease, 5)
    await store.finish_step(lease, make_step(8))
    await store.pause(name)
    await store.acknowledge_pause(lease)
    await store.cancel(name)


async def cancel_and_lose_the_worker(store: JobStore, name: str) -> None:
    lease = (await claim_next(store)).lease
    await store.finish_step(lease, make_step(NUM_STEPS))
    await store.cancel(name)
    await lose_lease(store, lease)


async def abandon(store: JobStore, _name: str) -> None:
    for _ in range(MAX_LOST_LEASES):
        await lose_lease(store, (await claim_next(store)).lease)


ENDS: dict[str, tuple[End, int]] = {
    "succeeded": (succeed, PRICE),
    "failed": (fail, 0),
    "abandoned": (abandon, 0),
    "cancelled before its start": (cancel_waiting, 0),
    "cancelled at step 7 of 20": (cancel_running, PRICE * 7 // 20),
    "cancelled with 5 of 20 steps kept": (cancel_paused_after_a_slice, PRICE * 5 // 20),
    "cancelled after its last step": (cancel_and_lose_the_worker, PRICE),
}


@pytest.mark.parametrize(("end", "charge"), ENDS.values(), ids=ENDS.keys())
async def test_end_of_a_video_decides_what_it_costs(
    store: JobStore, accounts: AccountStore, end: End, charge: int
) -> None:
    video = await store.submit(make_submission(price=PRICE))
    assert video.estimated_microcredits == PRICE
    assert not video.HasField("charged_microcredits")
    await end(store, video.name)
    assert (await store.get(video.name)).charged_microcredits == charge
    usage = await accounts.usage("alice")
    assert usage.reserved_microcredits == usage.num_open_videos == 0
    assert usage.spent_microcredits == usage.day.used_microcredits == charge
    assert usage.month.used_microcredits == charge
    told = [(entry.kind, entry.amount_microcredits) for entry in await read_ledger(accounts)]
    due = [(RESERVE, PRICE), (SETTLE, charge), (REFUND, PRICE - charge)]
    assert told == [line for line in due if line[1]]
    await require_balance(accounts)


async def test_video_that_nobody_started_in_time_costs_nothing(
    store: JobStore, accounts: AccountStore
) -> None:
    await store.submit(make_submission(price=PRICE, start_within_seconds=1e-6))
    assert await store.expire_deadlines() == 1
    assert (await accounts.usage("alice")).spent_microcredits == 0
    await require_balance(accounts)


async def test_repeated_request_is_charged_once(store: JobStore, accounts: AccountStore) -> None:
    submission = make_submission(price=PRICE, request_id="order-1")
    names = await asyncio.gather(*(store.submit(submission) for _ in range(8)))
    assert len({video.name for video in names}) == 1
    assert (await accounts.usage("alice")).reserved_microcredits == PRICE
    assert len(await read_ledger(accounts)) == 1


async def test_repeated_end_settles_once_and_a_late_one_not_at_all(
    store: JobStore, accounts: AccountStore
) -> None:
    await store.submit(make_submission(price=PRICE))
    lost = (await claim_next(store)).lease
    await lose_lease(store, lost)
    lease = (await claim_next(store)).lease
    with pytest.raises(LeaseLostError):
        await store.complete(lost, [ARTIFACT])
    assert (await accounts.usage("alice")).spent_microcredits == 0
    for _ in range(2):
        await store.complete(lease, [ARTIFACT])
    with pytest.raises(LeaseLostError):
        await store.fail(lost, FAILURE)
    usage = await accounts.usage("alice")
    assert (usage.spent_microcredits, usage.stored_bytes) == (PRICE, ARTIFACT.size_bytes)
    await require_balance(accounts)


async def test_looking_at_a_video_charges_nothing(store: JobStore, accounts: AccountStore) -> None:
    video = await store.submit(make_submission(price=PRICE))
    usage, ledger = await accounts.usage("alice"), await read_ledger(accounts)
    await store.get(video.name)
    await store.list_videos(VideoQuery("alice"))
    await store.find_repeat(tenant="alice", request_id="r", fingerprint=b"")
    assert await accounts.usage("alice") == usage
    assert await read_ledger(accounts) == ledger


async def test_deleting_gives_the_bytes_back_and_no_credits(
    store: JobStore, accounts: AccountStore
) -> None:
    video = await store.submit(make_submission(price=PRICE))
    await succeed(store, video.name)
    assert (await accounts.usage("alice")).stored_bytes == ARTIFACT.size_bytes
    await store.delete(video.name)
    usage = await accounts.usage("alice")
    assert (usage.stored_bytes, usage.spent_microcredits) == (0, PRICE)


LIMITS = {
    "daily_microcredits": SpendingLimits(daily_microcredits=2 * PRICE),
    "monthly_microcredits": SpendingLimits(monthly_microcredits=2 * PRICE),
    "max_open_videos": SpendingLimits(max_open_videos=2),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_limit_holds_what_is_reserved_and_frees_what_is_given_back(
    store: JobStore, accounts: AccountStore, name: str
) -> None:
    submission = make_submission(price=PRICE, limits=LIMITS[name])
    first = await store.submit(submission)
    await store.submit(submission)
    before = await accounts.usage("alice")
    with pytest.raises(QuotaExceededError) as refusal:
        await store.submit(submission)
    assert refusal.value.quota == name
    assert refusal.value.limit == getattr(LIMITS[name], name)
    assert refusal.value.retry_seconds
    assert await accounts.usage("alice") == before
    assert len((await store.list_videos(VideoQuery("alice"))).videos) == 2
    await store.submit(make_submission("bob", price=PRICE, limits=LIMITS[name]))
    await store.cancel(first.name)
    await store.submit(submission)


async def test_no_video_is_taken_while_files_fill_the_quota(store: JobStore) -> None:
    limits = SpendingLimits(max_stored_bytes=ARTIFACT.size_bytes)
    video = await store.submit(make_submission(limits=limits))
    await succeed(store, video.name)
    with pytest.raises(QuotaExceededError, match="delete some") as refusal:
        await store.submit(make_submission(limits=limits))
    assert refusal.value.retry_seconds is None
    await store.delete(video.name)
    await store.submit(make_submission(limits=limits))


async def test_price_above_the_whole_limit_is_not_to_be_retried(store: JobStore) -> None:
    limits = SpendingLimits(daily_microcredits=PRICE - 1)
    with pytest.raises(QuotaExceededError) as refusal:
        await store.submit(make_submission(price=PRICE, limits=limits))
    assert refusal.value.retry_seconds is None


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


async def test_months_and_days_are_those_of_the_calendar(
    client: Redis, accounts: AccountStore
) -> None:
    store = ClockedStore(client)
    dates = ["1999-12-31", "2000-02-29", "2000-03-01", "2027-01-31T23:59:59", "2027-02-01"]
    for date in [*dates, "2028-02-29", "2096-02-29", "2100-02-28", "2100-03-01", "2100-12-31"]:
        await set_clock(client, micros(date))
        await store.submit(make_submission(price=1))
        account = await client.hgetall("telecine:{0}:account:alice")
        year, month, _ = map(int, date.partition("T")[0].split("-"))
        assert int(account[b"month"]) == (year - 1970) * 12 + month - 1
        assert int(account[b"day"]) == micros(date) // 86_400_000_000


async def test_new_day_begins_with_nothing_used_and_owes_the_old_one_no_refund(
    client: Redis, accounts: AccountStore
) -> None:
    store = ClockedStore(client)
    submission = make_submission(
        price=PRICE, limits=SpendingLimits(PRICE, daily_microcredits=PRICE)
    )
    await set_clock(client, micros("2027-01-31T23:59:50"))
    old = await store.submit(submission)
    with pytest.raises(QuotaExceededError) as refusal:
        await store.submit(submission)
    assert refusal.value.retry_seconds == 10
    await set_clock(client, micros("2027-02-01T00:00:00"))
    await store.submit(submission)
    await store.cancel(old.name)
    account = await client.hgetall("telecine:{0}:account:alice")
    assert int(account[b"day_used"]) == int(account[b"month_used"]) == PRICE
    assert int(account[b"reserved"]) == PRICE


async def test_racing_submissions_take_what_there_is_and_no_more(
    client: Redis, accounts: AccountStore
) -> None:
    stores = [JobStore(client) for _ in range(4)]
    limits = SpendingLimits(daily_microcredits=5 * PRICE + 1)

    async def attempt(number: int) -> bool:
        try:
            await stores[number % 4].submit(
                make_submission(price=PRICE, limits=limits, request_id=f"r{number % 20}")
            )
        except QuotaExceededError:
            return False
        return True

    await asyncio.gather(*(attempt(number) for number in range(40)))
    usage = await accounts.usage("alice")
    assert (usage.reserved_microcredits, usage.num_open_videos) == (5 * PRICE, 5)
    await require_balance(accounts)


async def test_killed_redis_keeps_videos_and_credits_together(server: RedisServer) -> None:
    redis = connect_redis(server.url)
    store, accounts = JobStore(redis), AccountStore(redis)
    is_under_way = asyncio.Event()

    async def make_videos(number: int) -> None:
        for count in range(1000):
            await store.submit(make_submission(price=PRICE, request_id=f"{number}-{count}"))
            assignment = await claim(store)
            if assignment is not None and number % 2:
                await store.complete(assignment.lease, [ARTIFACT])
            if count == 10:
                is_under_way.set()

    making = [asyncio.create_task(make_videos(number)) for number in range(6)]
    await is_under_way.wait()
    server.kill()
    for outcome in await asyncio.gather(*making, return_exceptions=True):
        assert isinstance(outcome, StoreUnavailableError | LeaseLostError | NotFoundError)
    server.start()
    videos = (await store.list_videos(VideoQuery("alice", page_size=1000))).videos
    ended = [video for video in videos if video.state == video_pb2.Video.STATE_SUCCEEDED]
    usage = await accounts.usage("alice")
    assert usage.num_open_videos == len(videos) - len(ended)
    assert usage.reserved_microcredits == PRICE * usage.num_open_videos
    assert usage.spent_microcredits == PRICE * len(ended)
    assert usage.stored_bytes == ARTIFACT.size_bytes * len(ended)
    assert ended
    await require_balance(accounts)
    await redis.aclose()
