"""The library of Redis functions: put together from functions/*.lua, loaded where it is missing.

Its name carries a digest of its source, so that processes of two versions can work side by
side during an upgrade, each with the functions it was written for.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import redis.exceptions
from redis.asyncio import Redis

from telecine.jobs.call_batcher import CallBatcher
from telecine.jobs.redis_client import translated_errors
from telecine.jobs.transitions import lua_table

Argument: TypeAlias = str | bytes | int | float

_FOLDER = Path(__file__).parent / "functions"
# Each file uses what those before it define.
_FILES = (
    "records",
    "event_log",
    "costs",
    "fair_scheduler",
    "tenants",
    "slices",
    "places",
    "deadlines",
    "client_calls",
    "pauses",
    "leases",
    "worker_calls",
    "worker_directory",
)


@cache
def library_source(clock_key: str | None = None) -> tuple[str, str]:
    """Returns the library's name and its whole source.

    Its time is the server's, or, for tests that make time pass, what `clock_key` holds, in
    microseconds; such a library has a name of its own.
    """
    clock = "nil" if clock_key is None else f'"{clock_key}"'
    files = [(_FOLDER / f"{name}.lua").read_text() for name in _FILES]
    body = "\n".join([f"local CLOCK_KEY = {clock}", lua_table(), *files])
    name = f"telecine_{hashlib.sha256(body.encode()).hexdigest()[:12]}"
    return name, f'#!lua name={name}\nlocal LIBRARY = "{name}"\n{body}'


class FunctionLibrary:
    """Calls the functions of one queue."""

    def __init__(self, redis_client: Redis, queue: str) -> None:
        self._redis = redis_client
        self._calls = CallBatcher(redis_client)
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
        """Calls a function with named arguments and returns its answer.

        A Redis that has lost the library, emptied by a restart say, gets it again.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
            redis.exceptions.ResponseError: the function refused; the message starts with a code.
        """
        flat = [part for pair in arguments.items() for part in pair]
        name = f"{self._name}_{function}"
        with translated_errors():
            try:
                return await self._calls.fcall(name, 1, self.queue, *flat)
            except redis.exceptions.ResponseError as error:
                if "Function not found" not in str(error):
                    raise
            await self.load()
            return await self._calls.fcall(name, 1, self.queue, *flat)
