"""Checkpoints in a local folder and behind it in an object store.

Each is whole or not there, known by its digest, and of one model.
"""

import asyncio
import contextlib
import errno
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from telecine.errors import CheckpointError, NotFoundError, ObjectStoreUnavailableError
from telecine.jobs.checkpoint_copies import CheckpointCopies
from telecine.jobs.job_types import CheckpointPointer
from telecine.jobs.keys import video_id_of, video_name
from telecine.storage.atomic_file import TEMPORARY_PREFIX, sha256_digest, write_file
from telecine.storage.keys import checked_key
from telecine.storage.object_store import ObjectStore

_log = structlog.get_logger(__name__)
# One more than the store points to: the newest is written before it is committed.
_KEPT = 4
_FULL = (errno.ENOSPC, errno.EDQUOT)
# No write takes this long: who began it is dead, or lets it fail.
_ABANDONED_SECONDS = 600.0

CORRUPT, FOREIGN = "CHECKPOINT_CORRUPT", "CHECKPOINT_FOREIGN"
MISSING, NOT_WRITTEN = "CHECKPOINT_MISSING", "CHECKPOINT_NOT_WRITTEN"


class CheckpointStore:
    """The checkpoints of the videos that one worker holds.

    Workers of one machine may share a folder and then share its quota, which they can exceed by
    what they write in the same moment.
    """

    def __init__(
        self,
        folder: Path,
        *,
        remote: ObjectStore | None,
        quota_bytes: int,
        flush_seconds: float = 10.0,
    ) -> None:
        """Prepares a store.

        Args:
            folder: where checkpoints lie; made when there is one.
            remote: where they are copied to, so that other machines find them; None for nowhere.
            quota_bytes: what all files in the folder may take together.
            flush_seconds: how long `flush` waits at most.
        """
        self._folder = folder
        self._quota_bytes = quota_bytes
        self._flush_seconds = flush_seconds
        self._copies = None if remote is None else CheckpointCopies(remote)

    async def save(
        self, video_name: str, *, fencing_token: int, step_index: int, state: bytes, identity: str
    ) -> CheckpointPointer:
        """Writes a state to disk and returns how to find it; drops all but the newest four.

        Args:
            video_name: `videos/{video}`.
            fencing_token: of the lease.
            step_index: steps done.
            state: what the model gave.
            identity: digest of the model.

        Raises:
            CheckpointError: it cannot be written, the disk or the quota is full say. What was
                saved before is still there.
        """
        video_id = video_id_of(video_name)
        key = f"{video_id}/{fencing_token:06d}-{step_index:06d}.ckpt"
        try:
            digest = await asyncio.to_thread(self._write, key, state)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {key} cannot be written: {error}", reason=NOT_WRITTEN
            ) from error
        if self._copies is not None:
            self._copies.copy(video_id, self._folder / key)
        return CheckpointPointer(key, step_index, digest, len(state), identity)

    async def load(self, pointer: CheckpointPointer, *, identity: str) -> bytes:
        """Returns a state of the model `identity`, from the folder or else from the copy.

        Raises:
            CheckpointError: it is gone, truncated, corrupt or of another model.
        """
        if pointer.identity not in {"", identity}:
            raise CheckpointError(
                f"checkpoint {pointer.key} is of model {pointer.identity}", reason=FOREIGN
            )
        try:
            return await asyncio.to_thread(self._read, pointer)
        except CheckpointError as error:
            if self._copies is None:
                raise
            local_error = error
        try:
            return _checked(pointer, await self._read_copy(pointer, self._copies))
        except CheckpointError as error:
            raise (local_error if local_error.reason == CORRUPT else error) from error

    async def flush(self, video_name: str) -> None:
        """Returns once the copies of a video are as far as the folder, or after a time-out."""
        if self._copies is None:
            return
        try:
            async with asyncio.timeout(self._flush_seconds):
                await self._copies.settle(video_id_of(video_name))
        except TimeoutError:
            _log.warning("checkpoint_not_flushed", video=video_name)

    async def delete_all(self, video_name: str) -> None:
        """Removes all checkpoints of a video; its copies go behind, see `flush`."""
        video_id = video_id_of(video_name)
        await asyncio.to_thread(shutil.rmtree, self._folder / video_id, ignore_errors=True)
        if self._copies is not None:
            self._copies.remove(video_id)

    async def sweep(self, is_over: Callable[[str], Awaitable[bool]]) -> int:
        """Removes what dead processes have left of videos that are over; returns of how many.

        Args:
            is_over: tells, by its name, whether a video has ended or is unknown.
        """
        found = await asyncio.to_thread(self._sweep_folder)
        if self._copies is not None:
            try:
                found |= await self._copies.list_videos()
            except ObjectStoreUnavailableError as error:
                _log.warning("checkpoint_copies_not_swept", error=str(error))
        num_removed = 0
        for name in map(video_name, sorted(found)):
            if _is_name_of_video(name) and await is_over(name):
                await self.delete_all(name)
                num_removed += 1
        return num_removed

    async def close(self) -> None:
        """Stops copying; call `flush` before."""
        if self._copies is not None:
            await self._copies.close()

    def _write(self, key: str, state: bytes) -> str:
        path = self._folder / key
        while True:
            try:
                self._require_room(len(state))
                write_file(path, [state])
                break
            except OSError as error:
                # This video's newest checkpoint is worth more than its older ones.
                if error.errno not in _FULL or not _drop_oldest(path.parent, num_kept=1):
                    raise
        while _drop_oldest(path.parent, num_kept=_KEPT):
            pass
        return sha256_digest(state)

    def _require_room(self, size_bytes: int) -> None:
        used_bytes = 0
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                used_bytes += path.stat().st_size
        if used_bytes + size_bytes > self._quota_bytes:
            raise OSError(errno.EDQUOT, f"checkpoints take {used_bytes} of {self._quota_bytes} B")

    def _read(self, pointer: CheckpointPointer) -> bytes:
        try:
            data = (self._folder / checked_key(pointer.key)).read_bytes()
        except FileNotFoundError:
            raise CheckpointError(f"checkpoint {pointer.key} is not here", reason=MISSING) from None
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"checkpoint {pointer.key} cannot be read: {error}", reason=CORRUPT
            ) from error
        return _checked(pointer, data)

    async def _read_copy(self, pointer: CheckpointPointer, copies: CheckpointCopies) -> bytes:
        try:
            return await copies.read(pointer.key, limit=pointer.size_bytes + 1)
        except (NotFoundError, ObjectStoreUnavailableError, ValueError) as error:
            raise CheckpointError(
                f"checkpoint {pointer.key} is neither here nor copied: {error}", reason=MISSING
            ) from error

    def _sweep_folder(self) -> set[str]:
        """Removes files that nobody will finish; returns the ids of the videos found."""
        abandoned = time.time() - _ABANDONED_SECONDS
        for path in self._folder.glob(f"*/{TEMPORARY_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < abandoned:
                    path.unlink()
        return {path.name for path in self._folder.glob("*") if path.is_dir()}


def _checked(pointer: CheckpointPointer, state: bytes) -> bytes:
    if len(state) != pointer.size_bytes or sha256_digest(state) != pointer.digest:
        raise CheckpointError(f"checkpoint {pointer.key} is corrupt", reason=CORRUPT)
    return state


def _is_name_of_video(name: str) -> bool:
    """Whether a folder is one of ours: a disk's root has others, `lost+found` say."""
    try:
        video_id_of(name)
    except NotFoundError:
        return False
    return True


def _drop_oldest(folder: Path, *, num_kept: int) -> bool:
    """Drops a video's oldest checkpoint where it has more than `num_kept`."""
    # Names sort by fencing token and step: a lost worker's late file is the first to go.
    names = sorted(folder.glob("*.ckpt"))
    if len(names) <= num_kept:
        return False
    names[0].unlink(missing_ok=True)
    return True
