"""Clients of Redis with the settings that jobs need, and its errors in our words."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
import redis.exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from telecine.errors import StoreUnavailableError

_MAX_CONNECTIONS = 32
_TIMEOUT_SECONDS = 5.0
# Answers of a server that is up and cannot serve now: starting, out of memory or disk, a replica.
_UNAVAILABLE_CODES = frozenset(
    {"LOADING", "OOM", "MISCONF", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"}
)


class _TunedConnection(AbstractConnection):
    """A connection that packs commands in C, and that can be cancelled.

    redis-py's asyncio connection packs in Python, which costs more than all else of a call with
    many arguments. It writes under asyncio.wait_for, which before Python 3.12 swallows a cancel
    that comes as the write ends (gh-86296).
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Returns the command as it goes out; the name may be of two words."""
        name, *arguments = args
        words = name.split() if isinstance(name, str) else [name]
        return [hiredis.pack_command((*words, *arguments))]

    async def can_read(self) -> bool:
        """Whether it is unfit for a command; redis-py sees its end, but no reset by the server."""
        is_reset = self._reader is not None and self._reader.exception() is not None
        return is_reset or await super().can_read()

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        timeout_seconds, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(timeout_seconds):
                await super().send_packed_command(command, check_health)
        finally:
            self.socket_timeout = timeout_seconds


def connect_redis(url: str) -> Redis:
    """Returns a client that fails at once rather than tries again; connects when first used."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
    plain = pool.connection_class  # TCP, TLS or a Unix socket, as the URL says
    pool.connection_class = type(plain.__name__, (_TunedConnection, plain), {})
    return Redis.from_pool(pool)


def blocking_twin(client: Redis) -> Redis:
    """Returns a client of the same server for one blocking read at a time.

    It waits for an answer for ever: redis-py's time-out and retries would stretch a blocking
    read, so the caller sets its own.
    """
    settings = dict(client.connection_pool.connection_kwargs)
    settings.update(socket_timeout=None, protocol=2, retry=Retry(NoBackoff(), 0))
    pool = BlockingConnectionPool(
        connection_class=client.connection_pool.connection_class, max_connections=2, **settings
    )
    return Redis.from_pool(pool)


class KeptConnections:
    """A client's connections for one command at a time each, kept from one to the next.

    The bookkeeping of a pool takes longer than a small command. They end with the client's pool.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._idle: list[AbstractConnection] = []

    async def execute(self, *command: str | bytes | int | float) -> Any:
        """Sends a command and returns its answer; raises what redis-py raises."""
        pool: Any = self._client.connection_pool
        connection = self._idle.pop() if self._idle else await pool.get_connection()
        try:
            await pool.ensure_connection(connection)
            await connection.send_packed_command(connection.pack_command(*command))
            return await connection.read_response()
        finally:
            self._idle.append(connection)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raises StoreUnavailableError for every way in which Redis cannot serve now.

    Errors that a correct program never gets pass as they are.
    """
    try:
        yield
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise StoreUnavailableError(f"Redis cannot be reached: {error}") from error
    except redis.exceptions.ResponseError as error:
        if isinstance(error, redis.exceptions.OutOfMemoryError | redis.exceptions.ReadOnlyError):
            raise StoreUnavailableError(
                f"Redis takes no writes, its memory or its disk is full: {error}"
            ) from error
        if str(error).split(" ", 1)[0] in _UNAVAILABLE_CODES:
            raise StoreUnavailableError(f"Redis cannot serve now: {error}") from error
        raise
