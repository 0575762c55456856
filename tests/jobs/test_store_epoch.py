"""A store that lost the end of its file is found out, and gives nothing out twice."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from clocked_store import CLOCK_KEY, QUEUE, START_MICROS, ClockedStore, set_clock
from redis.asyncio import Redis
from submissions import claim, claim_next, make_step, make_submission

from telecine.errors import LeaseLostError, NotFoundError, VideoStateError
from telecine.jobs.event_log import EventLog, parse_event_id
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import CheckpointPointer, Lease
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.jobs.store_epoch import RESTORED, StoreMemory
from telecine.jobs.transitions import ENDED_STATES
from telecine.v1 import video_pb2

HOUR_MICROS = 3_600_000_000
NUM_CUTS = 24
State = video_pb2.Video.State


@dataclass
class Seen:
    """What has been answered before the end of the file was lost."""

    memory: StoreMemory
    clocks: list[int] = field(default_factory=list)
    tokens: set[int] = field(default_factory=set)
    leases: list[Lease] = field(default_factory=list)
    event_ids: dict[str, list[str]] = field(default_factory=dict)


async def read_events(client: Redis, name: str) -> list[video_pb2.VideoEvent]:
    return await EventLog(client).read(name, limit=10_000)


async def make_history(store: ClockedStore, client: Redis, random: Random) -> Seen:
    """Has videos in every state, made by many calls; returns all that was answered."""
    now = START_MICROS
    names: list[str] = []
    seen = Seen(store.memory)
    held: list[Lease] = []
    while len(names) < 40:
        now += 1000 * random.randrange(1, 300)
        await client.set(CLOCK_KEY, now)
        seen.clocks.append(now)
        names.append((await store.submit(make_submission(random.choice("abc")))).name)
        for _ in range(random.randrange(3)):
            if (assignment := await claim(store, lease_seconds=1e6)) is None:
                break
            held.append(assignment.lease)
            seen.tokens.add(assignment.lease.token)
            seen.leases.append(assignment.lease)
        for lease in random.sample(held, min(2, len(held))):
            await act(store, random, lease, held)
        if random.random() < 0.1:
            with contextlib.suppress(VideoStateError):
                await store.pause(random.choice(names))
        if random.random() < 0.1:
            await store.cancel(random.choice(names))
    for name in names:
        events = await read_events(client, name)
        seen.event_ids[name] = [event.event_id for event in events]
    return seen


async def make_steps(store: JobStore, lease: Lease) -> None:
    for step_index in range(1, 10):
        await store.finish_step(lease, make_step(step_index, preview=b"x"))


async def act(store: JobStore, random: Random, lease: Lease, held: list[Lease]) -> None:
    step_index = random.randrange(1, 20)
    pointer = CheckpointPointer(f"k{step_index}", step_index, "sha256:0", 1)
    draw = random.random()
    with contextlib.suppress(LeaseLostError):
        await store.finish_step(lease, make_step(step_index))
        if draw < 0.4:
            await store.commit_checkpoint(lease, pointer)
            return
        if draw < 0.6:
            await store.complete(lease, [])
        elif draw < 0.7:
            await store.fail(lease, video_pb2.Failure(reason="MODEL_FAILED"))
        elif draw < 0.8:
            await store.requeue(lease, reason="WORKER_DRAINED")
        else:
            return
    held.remove(lease)


@contextlib.asynccontextmanager
async def restarted(
    origin: Path, folder: Path, num_bytes: int, draw_clock: Callable[[int], int]
) -> AsyncIterator[Redis]:
    """A Redis on the first bytes of another one's file, in a run of its own."""
    shutil.copytree(origin / "appendonlydir", folder / "appendonlydir")
    cut(folder, num_bytes)
    with RedisServer(folder) as server:
        client = connect_redis(server.url)
        kept_clock = int(await client.get(CLOCK_KEY) or START_MICROS)
        await set_clock(client, draw_clock(kept_clock), folder.name)
        yield client
        await client.aclose()


def draw_clock(random: Random, seen: Seen, kept: int) -> int:
    """A clock that has gone on or back, or back to the very time of the first loss."""
    first_lost = next((clock for clock in seen.clocks if clock > kept), kept)
    anywhere = seen.clocks[-1] + random.randrange(-HOUR_MICROS, HOUR_MICROS)
    return random.choice([anywhere, first_lost, first_lost - 1000])


def log_of(folder: Path) -> Path:
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    return log


def length_of_log(folder: Path) -> int:
    return log_of(folder).stat().st_size


def cut(folder: Path, num_bytes: int) -> None:
    """Loses the end of a Redis' file."""
    with log_of(folder).open("r+b") as file:
        file.truncate(num_bytes)


def remembered(memory: StoreMemory) -> StoreMemory:
    """What another process of the same knowledge remembers."""
    copy = StoreMemory()
    copy.run, copy.tick, copy.token = memory.run, memory.tick, memory.token
    return copy


async def states_of(client: Redis) -> dict[str, str]:
    """The videos that there are, and their states."""
    states: dict[str, str] = {}
    async for key in client.scan_iter(f"{QUEUE}:video:*"):
        name = f"videos/{key.decode().rpartition(':')[2]}"
        states[name] = (await client.hget(key, "state")).decode()
    return states


async def assert_counters_agree(client: Redis, states: dict[str, str]) -> None:
    counters: Any = await client.hgetall(QUEUE)
    for state in ("QUEUED", "RUNNING", "PAUSED", *ENDED_STATES):
        count = list(states.values()).count(state)
        assert int(counters.get(f"num_{state}".encode(), 0)) == count, state


async def logs_of(client: Redis) -> dict[str, list[str]]:
    """The ids of every video's events."""
    return {
        name: [event.event_id for event in await read_events(client, name)]
        for name in await states_of(client)
    }


async def assert_told(
    client: Redis, seen: Seen, kept: dict[str, list[str]], *, is_lost: bool
) -> None:
    """Every video that goes on was told once, and no id was given to two events."""
    for name, state in (await states_of(client)).items():
        new = (await read_events(client, name))[len(kept[name]) :]
        assert not {event.event_id for event in new} & set(seen.event_ids[name])
        restored = [event for event in new if event.notice.reason == RESTORED]
        assert len(restored) == int(is_lost and state not in ENDED_STATES)
        newest_seen = max(map(parse_event_id, seen.event_ids[name]))
        assert all(parse_event_id(event.event_id) > newest_seen for event in restored)


async def finish_everything(store: JobStore, client: Redis, states: dict[str, str]) -> set[int]:
    """Makes all that is left; returns the tokens that this took."""
    # Of workers that know of nothing: their leases run out.
    await client.incrby(CLOCK_KEY, 10**15)
    while await store.expire_leases():
        pass
    for name, state in (await states_of(client)).items():
        if state == "PAUSED":
            await store.resume(name)
    tokens = set()
    while assignment := await claim(store, lease_seconds=60):
        tokens.add(assignment.lease.token)
        await store.complete(assignment.lease, [])
    for name in states:
        events = await read_events(client, name)
        assert [e.state_changed.state for e in events].count(State.STATE_SUCCEEDED) <= 1
        assert (await store.get(name)).state in {State.Value(f"STATE_{s}") for s in ENDED_STATES}
    return tokens


async def check_restart(client: Redis, seen: Seen, *, is_race: bool) -> bool:
    """Goes on with a store that may have lost writes; returns whether it has."""
    kept = int(await client.hget(QUEUE, "tick") or 0)
    is_lost = kept < seen.memory.tick
    store = ClockedStore(client, remembered(seen.memory))
    tokens = set()
    logs = await logs_of(client)
    if is_race:  # a process that knows of nothing is faster
        newcomer = ClockedStore(client)
        while len(tokens) < 4 and (assignment := await claim(newcomer, lease_seconds=1e6)):
            tokens.add(assignment.lease.token)
            for step_index in range(1, 20):
                await newcomer.finish_step(assignment.lease, make_step(step_index))
    await store.expire_leases()
    assert store.memory.epoch == int(is_lost)
    states = await states_of(client)
    await assert_counters_agree(client, states)
    await assert_told(client, seen, logs, is_lost=is_lost)
    for lease in seen.leases:
        await assert_fenced(client, store, lease)
    tokens |= await finish_everything(store, client, states)
    assert not tokens & seen.tokens
    later = ClockedStore(client, remembered(seen.memory))
    await later.expire_leases()
    assert later.memory.epoch == int(is_lost)  # one loss is one epoch
    return is_lost


async def assert_fenced(client: Redis, store: JobStore, lease: Lease) -> None:
    """A lease is good only while the store itself says so."""
    key = f"{QUEUE}:video:{lease.video_name.removeprefix('videos/')}"
    state, token = await client.hmget(key, "state", "token")
    if (state, token) == (b"RUNNING", str(lease.token).encode()):
        await store.heartbeat(lease)
        return
    with pytest.raises((LeaseLostError, NotFoundError)):
        await store.heartbeat(lease)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_file_cut_at_any_byte_is_noticed_and_nothing_is_given_out_twice(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    origin = tmp_path / "origin"
    with RedisServer(origin) as server:
        client = connect_redis(server.url)
        await set_clock(client, START_MICROS, "origin")
        seen = await make_history(ClockedStore(client), client, random)
        await client.aclose()
        server.kill()
    num_bytes = length_of_log(origin)
    num_lost = 0
    for number in range(NUM_CUTS):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        length = random.choice([random.randrange(num_bytes), num_bytes - random.randrange(200)])
        async with restarted(origin, folder, length, partial(draw_clock, random, seen)) as client:
            num_lost += await check_restart(client, seen, is_race=random.random() < 0.5)
        shutil.rmtree(folder)
    assert num_lost > NUM_CUTS / 2


async def test_lost_event_ids_are_not_given_again_by_a_clock_that_went_back(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        client = connect_redis(server.url)
        await set_clock(client, START_MICROS, "before")
        store = ClockedStore(client)
        name = (await store.submit(make_submission())).name
        lease = (await claim_next(store)).lease
        num_bytes = length_of_log(server.folder)
        await client.set(CLOCK_KEY, START_MICROS + 5000)
        await make_steps(store, lease)
        lost = {event.event_id for event in await read_events(client, name)}
        server.kill()
        cut(server.folder, num_bytes)
        await asyncio.to_thread(server.start)
        lost -= {event.event_id for event in await read_events(client, name)}
        assert lost
        await set_clock(client, START_MICROS + 4000, "after")
        await make_steps(ClockedStore(client), lease)  # of a process that saw nothing of it
        again = {event.event_id for event in await read_events(client, name)}
        assert not lost & again
        await client.aclose()


async def test_whole_file_starts_no_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    memory_file = tmp_path / "seen.json"
    with RedisServer(folder) as server:
        client = connect_redis(server.url)
        store = JobStore(client, memory=StoreMemory(memory_file))
        name = (await store.submit(make_submission())).name
        for _ in range(2):
            server.kill()
            await asyncio.to_thread(server.start)
            await store.submit(make_submission())
        after_restart = StoreMemory(memory_file)
        assert after_restart.run
        other = JobStore(client, memory=after_restart)
        await other.submit(make_submission())
        assert [e.notice.reason for e in await read_events(client, name)] == [""]
        await client.aclose()


async def test_process_that_ended_meanwhile_knows_by_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    memory_file = tmp_path / "memory" / "seen.json"
    with RedisServer(folder) as server:
        client = connect_redis(server.url)
        store = JobStore(client, memory=StoreMemory(memory_file))
        kept = (await store.submit(make_submission())).name
        num_bytes = length_of_log(folder)
        await asyncio.sleep(1.1)  # the file is written once a second at most
        lost = (await store.submit(make_submission())).name
        server.kill()
        cut(folder, num_bytes)
        await asyncio.to_thread(server.start)
        store = JobStore(client, memory=StoreMemory(memory_file))
        await store.expire_leases()
        assert RESTORED in [e.notice.reason for e in await read_events(client, kept)]
        with pytest.raises(NotFoundError):
            await store.get(lost)
        await client.aclose()


def test_memory_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    file.write_text("{")
    memory = StoreMemory(file)
    assert (memory.run, memory.tick) == ("", 0)
    memory.enter("r", 5, epoch=0)
    assert (StoreMemory(file).run, StoreMemory(file).tick) == ("r", 5)
