"""Calls made together do what they do one after another."""

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
from clocked_store import QUEUE, START_MICROS, ClockedStore, set_clock
from redis.asyncio import Redis
from submissions import SLICE_STEPS, claim, end_slice, make_step, make_submission

from telecine.errors import AlreadyExistsError, LeaseLostError, TelecineError
from telecine.jobs.call_batcher import Call
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.jobs.store_epoch import StoreMemory
from telecine.v1 import video_pb2

NUM_TURNS = 150
# Every batch takes a tick of its own, and event ids are made of ticks.
OWN_TICKS = {b"tick", b"first_event_id"}


class Recorded:
    """The calls of a store, with what each was answered."""

    def __init__(self, store: ClockedStore) -> None:
        self._call = store.library.call
        self.calls: list[Call] = []
        self.answers: list[Any] = []
        store.library.call = self._record  # type: ignore[method-assign]

    async def _record(self, function: str, arguments: Any) -> Any:
        self.calls.append(Call(function, arguments))
        try:
            self.answers.append(await self._call(function, arguments))
        except Exception as error:
            self.answers.append(error)
            raise
        return self.answers[-1]


async def make_history(store: JobStore, random: Random) -> None:
    """Takes videos through every state, with calls that are refused and calls made twice."""
    names: list[str] = []
    held: list[Assignment] = []
    for number in range(NUM_TURNS):
        submission = make_submission(
            random.choice("abc"),
            request_id=f"r{random.randrange(60)}",
            prompt=f"ball {random.randrange(2)}",
            tier=random.choice([video_pb2.TIER_STANDARD, video_pb2.TIER_REALTIME]),
        )
        try:
            names.append((await store.submit(submission)).name)
            if (assignment := await claim(store, worker_id=f"w{number % 3}")) is not None:
                held.append(assignment)
            await use_lease(store, random.choice(held), random)
            name = random.choice(names)
            act = random.choice([store.cancel, store.pause, store.resume, store.delete])
            await act(name)
        except TelecineError:
            continue


async def use_lease(store: JobStore, assignment: Assignment, random: Random) -> None:
    """Has a worker make one of its calls, or one that comes too late."""
    lease = assignment.lease
    match random.randrange(6):
        case 0:
            await store.heartbeat(lease)
        case 1:
            await store.enter_stage(lease, video_pb2.STAGE_DENOISING)
        case 2:
            await store.finish_step(lease, make_step(random.randrange(1, 9)))
        case 3:
            await end_slice(store, lease, SLICE_STEPS)
            await end_slice(store, lease, SLICE_STEPS)
        case 4:
            await store.requeue(lease, reason="TEST")
        case 5:
            await store.complete(lease, [])


def comparable(value: Any) -> Any:
    """Returns an answer or a value with numbers as such and records without their order."""
    if isinstance(value, Exception):
        return str(value)
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], list):  # a snapshot
        return [record_of(dict(zip(value[0][::2], value[0][1::2], strict=True))), *value[1:]]
    if isinstance(value, list):  # several videos' snapshots
        return [comparable(item) for item in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def record_of(fields: dict[bytes, bytes]) -> dict[bytes, Any]:
    return {name: comparable(value) for name, value in fields.items() if name not in OWN_TICKS}


async def contents(client: Redis) -> dict[bytes, Any]:
    """Returns all that the queue keeps."""
    kept: dict[bytes, Any] = {}
    for key in await client.keys(f"{QUEUE}*"):
        match await client.type(key):
            case b"hash":
                kept[key] = record_of(await client.hgetall(key))
            case b"zset":
                kept[key] = await client.zrange(key, 0, -1, withscores=True)
            case b"stream":
                kept[key] = [fields for _, fields in await client.xrange(key)]
    return kept


def batches(calls: Sequence[Call], random: Random) -> Iterator[Sequence[Call]]:
    begin = 0
    while begin < len(calls):
        end = begin + random.randrange(1, 40)
        yield calls[begin:end]
        begin = end


@pytest.mark.parametrize("seed", range(2))
async def test_calls_in_batches_leave_and_answer_what_they_do_one_by_one(
    client: Redis, seed: int
) -> None:
    random = Random(seed)
    await set_clock(client, START_MICROS)
    store = ClockedStore(client)
    recorded = Recorded(store)
    await make_history(store, random)
    expected = await contents(client)
    await client.flushall()
    await set_clock(client, START_MICROS)
    library = ClockedStore(client).library
    answers: list[Any] = []
    for batch in batches(recorded.calls, random):
        answers += await library.send_writes(batch)
    assert len(answers) > NUM_TURNS
    assert [*map(comparable, answers)] == [*map(comparable, recorded.answers)]
    assert await contents(client) == expected


async def test_refused_call_leaves_the_others_of_its_batch_alone(store: JobStore) -> None:
    await store.submit(make_submission(request_id="one", prompt="a"))
    first, refused, second = await asyncio.gather(
        store.submit(make_submission(request_id="two")),
        store.submit(make_submission(request_id="one", prompt="b")),
        store.submit(make_submission(request_id="three")),
        return_exceptions=True,
    )
    assert isinstance(refused, AlreadyExistsError)
    assert isinstance(first, video_pb2.Video)
    assert isinstance(second, video_pb2.Video)
    assert {first.queue_position, second.queue_position} == {1, 2}


async def test_only_one_of_two_endings_made_together_counts(store: JobStore) -> None:
    await store.submit(make_submission())
    assignment = await claim(store)
    assert assignment is not None
    failure = video_pb2.Failure(reason="TEST")
    endings = await asyncio.gather(
        *(store.complete(assignment.lease, []), store.fail(assignment.lease, failure)),
        return_exceptions=True,
    )
    assert sum(isinstance(ending, LeaseLostError) for ending in endings) == 1


async def test_calls_made_together_all_find_their_place_after_a_restart(client: Redis) -> None:
    await set_clock(client, START_MICROS)
    store = ClockedStore(client, StoreMemory())
    for _ in range(5):
        await store.submit(make_submission())
    store.memory.note(START_MICROS * 2)  # what it saw then is lost
    await set_clock(client, START_MICROS, run="1")
    submits = (store.submit(make_submission()) for _ in range(100))
    videos = await asyncio.wait_for(asyncio.gather(*submits), 60)
    assert len({video.name for video in videos}) == 100
    assert store.epoch == 1


async def test_reading_needs_no_store_that_takes_writes(client: Redis, store: JobStore) -> None:
    video = await store.submit(make_submission())
    await client.config_set("maxmemory", 1)
    try:
        assert await store.get(video.name) == video
        with pytest.raises(TelecineError):
            await store.submit(make_submission())
    finally:
        await client.config_set("maxmemory", 0)


async def test_library_that_the_server_has_lost_is_loaded_again(client: Redis) -> None:
    library = FunctionLibrary(client, QUEUE)
    assert await library.read("list_workers", {}) == []
    await client.function_flush()
    assert await library.read("list_workers", {}) == []
