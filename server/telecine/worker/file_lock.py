"""Locks between processes that end with their holder, however it ends."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_POLL_SECONDS = 0.1


@asynccontextmanager
async def locked(path: Path, *, is_shared: bool) -> AsyncIterator[None]:
    """Holds the lock file at `path`, alone or with others that share it; waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        # Polled: a thread that waits in the kernel could not be cancelled.
        while not _try_lock(file, is_shared=is_shared):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        yield


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Holds the lock file alone, or yields False where anyone holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield _try_lock(file, is_shared=False)


def _try_lock(file: BinaryIO, *, is_shared: bool) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return True
    return False
