"""Copies of checkpoints in an object store, made behind the work that they are of."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from telecine.errors import NotFoundError, ObjectStoreUnavailableError
from telecine.storage.object_store import ObjectStore

_log = structlog.get_logger(__name__)
_PREFIX = "checkpoints"
# As many as the job store points to.
_KEPT = 3
_MAX_PENDING = 64
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class _Task:
    """What is to be done for one video: copy `path`, or remove all where there is none."""

    path: Path | None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class CheckpointCopies:
    """Does one thing at a time; of what waits for one video, only the newest counts.

    `copy` and `remove` never wait, however long the object store is away.
    """

    def __init__(self, remote: ObjectStore) -> None:
        self._remote = remote
        self._pending: dict[str, _Task] = {}
        self._under_way: tuple[str, _Task] | None = None
        self._copied: dict[str, deque[str]] = {}
        self._runner: asyncio.Task[None] | None = None

    def copy(self, video_id: str, path: Path) -> None:
        """Has a file copied; it may be gone by then."""
        self._put(video_id, _Task(path))

    def remove(self, video_id: str) -> None:
        """Has all copies of a video removed."""
        self._put(video_id, _Task(None))

    async def settle(self, video_id: str) -> None:
        """Returns once nothing is left to do for a video."""
        while task := self._task_of(video_id):
            await task.done.wait()

    async def close(self) -> None:
        """Stops; what is not done is left undone."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])

    async def read(self, key: str, *, limit: int) -> bytes:
        """Returns the first `limit` bytes of a copy; raises what `ObjectStore.read` may."""
        chunks = self._remote.read(f"{_PREFIX}/{key}", limit=limit)
        return b"".join([chunk async for chunk in chunks])

    async def list_videos(self) -> set[str]:
        """Returns the ids of all videos that have copies; raises what `list_keys` may."""
        return {key.split("/")[1] async for key in self._remote.list_keys(_PREFIX)}

    def _put(self, video_id: str, task: _Task) -> None:
        superseded = self._pending.pop(video_id, None)
        if superseded is None and len(self._pending) >= _MAX_PENDING:
            dropped_id = next(iter(self._pending))
            superseded = self._pending.pop(dropped_id)
            _log.warning("checkpoint_copy_dropped", video_id=dropped_id)
        self._pending[video_id] = task
        if superseded is not None:
            superseded.done.set()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())

    def _task_of(self, video_id: str) -> _Task | None:
        if self._under_way is not None and self._under_way[0] == video_id:
            return self._under_way[1]
        return self._pending.get(video_id)

    async def _run(self) -> None:
        """Works off what is pending; a store that is away is tried again with pauses."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        while self._pending:
            video_id = next(iter(self._pending))
            task = self._pending.pop(video_id)
            self._under_way = video_id, task
            try:
                await self._do(video_id, task.path)
            except ObjectStoreUnavailableError as error:
                _log.warning("checkpoint_not_copied", video_id=video_id, error=str(error))
                self._under_way = None
                if video_id in self._pending:
                    task.done.set()  # a newer one
                else:
                    self._put(video_id, task)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
                continue
            self._under_way = None
            task.done.set()
            pause_seconds = _FIRST_PAUSE_SECONDS

    async def _do(self, video_id: str, path: Path | None) -> None:
        if path is None:
            self._copied.pop(video_id, None)
            await self._remote.delete_prefix(f"{_PREFIX}/{video_id}")
            return
        key = f"{_PREFIX}/{video_id}/{path.name}"
        try:
            await self._remote.put_file(key, path)
        except NotFoundError:  # a newer one has taken its place
            return
        copied = self._copied.setdefault(video_id, deque())
        copied.append(key)
        while len(copied) > _KEPT:
            await self._remote.delete_prefix(copied[0])
            copied.popleft()
