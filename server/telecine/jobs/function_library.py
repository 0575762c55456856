"""The library of Redis functions: put together from functions/*.lua, loaded where it is missing.

Its name carries a digest of its source, so that processes of two versions can work side by
side during an upgrade, each with the functions it was written for.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis.exceptions
import structlog
from redis.asyncio import Redis

from telecine.jobs.call_batcher import Argument, Call, CallBatcher
from telecine.jobs.events import notice_event
from telecine.jobs.redis_client import KeptConnections, translated_errors
from telecine.jobs.store_epoch import RESTORED, RESTORED_MESSAGE, StoreMemory, for_each_record
from telecine.jobs.transitions import lua_table

_log = structlog.get_logger(__name__)
_FOLDER = Path(__file__).parent / "functions"
# Each file uses what those before it define.
_FILES = (
    "records",
    "webhooks",
    "store_epoch",
    "calls",
    "event_log",
    "store_restarts",
    "costs",
    "fair_scheduler",
    "tenants",
    "accounts",
    "rate_limits",
    "slices",
    "places",
    "deadlines",
    "client_calls",
    "pauses",
    "leases",
    "worker_calls",
    "worker_directory",
    "webhook_calls",
    "media_calls",
)
# No later file uses what these define, and a chunk of Lua takes 200 local names.
_CLOSED_FILES = frozenset(
    {
        "store_restarts",
        "pauses",
        "worker_calls",
        "worker_directory",
        "webhook_calls",
        "media_calls",
    }
)


@cache
def library_source(clock_key: str | None = None) -> tuple[str, str]:
    """Returns the library's name and its whole source.

    Its time is the server's, or, for tests that make time pass, what `clock_key` holds, in
    microseconds; such a library has a name of its own.
    """
    clock = "nil" if clock_key is None else f'"{clock_key}"'
    files = [_read(name) for name in _FILES]
    body = "\n".join([f"local CLOCK_KEY = {clock}", lua_table(), *files])
    name = f"telecine_{hashlib.sha256(body.encode()).hexdigest()[:12]}"
    return name, f'#!lua name={name}\nlocal LIBRARY = "{name}"\n{body}'


def _read(name: str) -> str:
    text = (_FOLDER / f"{name}.lua").read_text()
    return f"do\n{text}\nend" if name in _CLOSED_FILES else text


class FunctionLibrary:
    """Calls the functions of one queue, and notices when the store has lost what it answered.

    Attributes:
        memory: how far this process has seen the store.
    """

    def __init__(
        self, redis_client: Redis, queue: str, *, memory: StoreMemory | None = None
    ) -> None:
        self._redis = redis_client
        self._connections = KeptConnections(redis_client)
        self._writes = CallBatcher(self.send_writes)
        self._reads = CallBatcher(self._send_reads)
        self._joins = asyncio.Lock()
        self.memory = memory or StoreMemory()
        self.queue = queue
        self._name, self._source = library_source()

    async def load(self) -> None:
        """Loads the library where it is missing; leaves those of other versions alone.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        with translated_errors():
            try:
                await self._redis.function_load(self._source)
            except redis.exceptions.ResponseError as error:
                if "already exists" not in str(error):
                    raise

    async def call(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        """Calls a function that may write, with named arguments, and returns its answer.

        After a restart of Redis the first call finds the process its place there.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
            redis.exceptions.ResponseError: the function refused; the message starts with a code.
        """
        with translated_errors():
            return await self._writes.call(Call(function, arguments))

    async def read(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        """Calls a function that only reads; as `call`, but the store need not take writes."""
        with translated_errors():
            return await self._reads.call(Call(function, arguments))

    async def send_writes(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Calls several functions that may write; returns an exception for one that refused."""
        parts = _parts_of(calls)
        while True:
            run = self.memory.run
            try:
                tick, answers = await self._fcall("write", run, *parts)
            except redis.exceptions.ResponseError as error:
                if not str(error).startswith("OTHER_RUN"):
                    raise
            else:
                await self._note(run, int(tick))
                return list(answers)
            await self._leave(run)

    async def _send_reads(self, calls: Sequence[Call]) -> Sequence[Any]:
        return list(await self._fcall("read", *_parts_of(calls)))

    async def _fcall(self, function: str, *arguments: Argument) -> Any:
        """Calls a Redis function; a Redis that has lost the library, emptied say, gets it again."""
        fcall = ("FCALL", f"{self._name}_{function}", 1, self.queue, *arguments)
        try:
            return await self._connections.execute(*fcall)
        except redis.exceptions.ResponseError as error:
            if "Function not found" not in str(error):
                raise
        await self.load()
        return await self._connections.execute(*fcall)

    async def _note(self, run: str, tick: int) -> None:
        if run == self.memory.run:
            self.memory.note(tick)
        elif tick:  # an answer of an earlier run that was read late: tell the store of it too
            await self._join(run, tick)

    async def _leave(self, run: str) -> None:
        """Goes on in the run that the server is in now, unless a call beside this one has."""
        async with self._joins:
            if self.memory.run != run:
                return
            is_announced = await self._join(run, self.memory.tick)
        if not is_announced:
            await self._announce_restored()

    async def _join(self, run: str, tick: int) -> bool:
        """Says what was seen in `run`; returns whether all videos know of every loss."""
        seen: dict[str, Argument] = {"run": run, "tick": tick, "token": self.memory.token}
        answer = await self._fcall("join_run", *_flat(seen))
        own_tick, (new_run, epoch, announced_epoch, missing) = answer
        self.memory.enter(new_run.decode(), int(own_tick), epoch=int(epoch))
        if int(missing):
            _log.error(
                "store_restored",
                queue=self.queue,
                epoch=int(epoch),
                missing_seconds=int(missing) / 1_000_000,
            )
        return int(announced_epoch) >= int(epoch)

    async def _announce_restored(self) -> None:
        event = notice_event(RESTORED, RESTORED_MESSAGE)
        epoch = self.memory.epoch

        async def tell(video_ids: list[str], is_last: bool) -> None:  # noqa: FBT001
            arguments: dict[str, Argument] = {"event": event, "epoch": epoch}
            arguments |= {"videos": ",".join(video_ids), "is_last": int(is_last)}
            # Not by the batcher: all its senders may wait for this.
            await self.send_writes([Call("announce_restored", arguments)])

        with translated_errors():
            await for_each_record(self._redis, self.queue, tell)


def _parts_of(calls: Sequence[Call]) -> list[Argument]:
    """Returns calls as functions/calls.lua reads them."""
    parts: list[Argument] = []
    for call in calls:
        parts += (call.function, 2 * len(call.arguments), *_flat(call.arguments))
    return parts


def _flat(arguments: Mapping[str, Argument]) -> list[Argument]:
    return [part for pair in arguments.items() for part in pair]
