"""What a process remembers of the store, so that a store that lost answered writes is found out.

Every answer of a function that may write carries a tick, which only rises. A store that comes
back from a restart behind a tick that a process has seen has lost writes: a new epoch begins.
"""

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from redis.asyncio import Redis

from telecine.jobs.keys import video_key

RESTORED = "STORE_RESTORED"
RESTORED_MESSAGE = (
    "The store lost its newest writes and goes on from those that it kept; "
    "what was done meanwhile may be done again."
)
_SAVE_SECONDS = 1.0
_RECORDS_AT_ONCE = 500
_log = structlog.get_logger(__name__)


class StoreMemory:
    """How far a process has seen the store, in memory and, where it has a file, beyond its end.

    The file is written once a second at most, and not synced: it is for a process that ends
    while the store loses its newest writes, not for a whole machine that loses its power.

    Attributes:
        run: the life of the server that `tick` was seen in; empty before the first answer.
        tick: the newest that was answered.
        token: the highest fencing token that was answered.
        epoch: how many times the store is known to have lost writes.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.run = ""
        self.tick = 0
        self.token = 0
        self.epoch = 0
        self._file = file
        self._saved_time = 0.0
        self._load()

    def enter(self, run: str, tick: int, *, epoch: int) -> None:
        """Goes on in another run of the server."""
        self.run, self.tick, self.epoch = run, tick, epoch
        self._save()

    def note(self, tick: int) -> None:
        """Takes in the tick of an answer of the present run."""
        if tick > self.tick:
            self.tick = tick
            if time.monotonic() - self._saved_time >= _SAVE_SECONDS:
                self._save()

    def note_token(self, token: int) -> None:
        """Takes in a fencing token that the store has given out."""
        self.token = max(self.token, token)

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            saved = json.loads(self._file.read_text())
            self.run, self.tick, self.token = saved["run"], saved["tick"], saved["token"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("store_memory_unreadable", file=str(self._file), error=str(error))

    def _save(self) -> None:
        if self._file is None:
            return
        self._saved_time = time.monotonic()
        draft = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"run": self.run, "tick": self.tick, "token": self.token}))
            draft.replace(self._file)
        except OSError as error:  # a full disk must not stop the process
            _log.warning("store_memory_unsaved", file=str(self._file), error=str(error))


def memory_of(folder: Path | None, process: str) -> StoreMemory:
    """Returns what a process of that name remembers, in a folder if there is one."""
    return StoreMemory(folder / f"{process}.json" if folder else None)


async def for_each_record(
    redis: Redis, queue: str, tell: Callable[[list[str], bool], Awaitable[None]]
) -> None:
    """Calls `tell` with the ids of some videos after the other, and whether they are the last.

    Every video that is there all the while is among them, one or the other more than once.
    """
    prefix = video_key(queue, "")
    cursor = 0
    while True:
        answer: Any = await redis.scan(cursor, match=f"{prefix}*", count=_RECORDS_AT_ONCE)
        cursor, names = answer
        await tell([name.decode().removeprefix(prefix) for name in names], cursor == 0)
        if cursor == 0:
            return
