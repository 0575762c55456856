"""Ends streams whose caller's key was revoked, or whose caller's time is over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from telecine.api.auth.active_keys import expired_error, require_active_key
from telecine.api.caller import Caller
from telecine.api.open_calls import OpenCalls
from telecine.errors import StoreUnavailableError, UnauthenticatedError
from telecine.jobs.api_key_store import ApiKeyStore

_READ_AT_ONCE = 200


@dataclass(eq=False)
class _Stream:
    timeout: asyncio.Timeout
    error: UnauthenticatedError


class OpenStreams:
    """Knows which keys hold streams open, and looks over and over whether they still count.

    A stream costs nothing for each of its messages, however many it has.

    Args:
        keys: where API keys are revoked.
        calls: counts the streams of each tenant.
        poll_seconds: how often it is looked.
    """

    def __init__(self, keys: ApiKeyStore, calls: OpenCalls, *, poll_seconds: float) -> None:
        self._keys = keys
        self._calls = calls
        self._poll_seconds = poll_seconds
        self._streams: dict[str, set[_Stream]] = {}

    @asynccontextmanager
    async def hold(self, caller: Caller) -> AsyncIterator[None]:
        """Runs a block for as long as the caller's credentials count; one task alone may run it.

        Raises:
            QuotaExceededError: its tenant has as many streams open as it may.
            UnauthenticatedError: they do not count any more.
        """
        with self._calls.hold(caller):
            async with self._while_counted(caller):
                yield

    @asynccontextmanager
    async def _while_counted(self, caller: Caller) -> AsyncIterator[None]:
        if not caller.key_id and caller.expire_time is None:
            yield
            return
        left = None if caller.expire_time is None else caller.expire_time - time.time()
        stream = _Stream(asyncio.timeout(left), expired_error(caller))
        self._add(caller.key_id, stream)
        try:
            async with stream.timeout:
                yield
        except TimeoutError:
            if not stream.timeout.expired():
                raise  # one of the block's own
            raise stream.error from None
        finally:
            self._remove(caller.key_id, stream)

    async def run(self) -> None:
        """Looks for ever; while Redis is away streams go on."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            with suppress(StoreUnavailableError):
                await self._end_revoked()

    async def _end_revoked(self) -> None:
        key_ids = list(self._streams)
        for start in range(0, len(key_ids), _READ_AT_ONCE):
            some = key_ids[start : start + _READ_AT_ONCE]
            for key_id, stored in zip(some, await self._keys.find_all(some), strict=True):
                try:
                    require_active_key(stored)
                except UnauthenticatedError as error:
                    self._end(key_id, error)

    def _end(self, key_id: str, error: UnauthenticatedError) -> None:
        now = asyncio.get_running_loop().time()
        for stream in self._streams.pop(key_id, ()):
            stream.error = error
            if not stream.timeout.expired():
                stream.timeout.reschedule(now)

    def _add(self, key_id: str, stream: _Stream) -> None:
        if key_id:
            self._streams.setdefault(key_id, set()).add(stream)

    def _remove(self, key_id: str, stream: _Stream) -> None:
        streams = self._streams.get(key_id)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._streams[key_id]
