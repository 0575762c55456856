"""Checkpoints in a local folder: whole or not there, and known by their digest."""

import asyncio
import shutil
from pathlib import Path

from telecine.errors import CheckpointError
from telecine.jobs.job_types import CheckpointPointer
from telecine.jobs.keys import video_id_of
from telecine.storage.atomic_file import sha256_digest, write_file
from telecine.storage.keys import checked_key

# One more than the store points to: the newest is written before it is committed.
_KEPT = 4


class CheckpointStore:
    """The checkpoints of the videos that one worker holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(
        self, video_name: str, *, attempt: int, step_index: int, state: bytes
    ) -> CheckpointPointer:
        """Writes a state to disk and returns how to find it; drops all but the newest four.

        Raises:
            CheckpointError: it cannot be written, the disk is full say.
        """
        key = f"{video_id_of(video_name)}/{attempt:06d}-{step_index:06d}.ckpt"
        try:
            digest = await asyncio.to_thread(self._write, key, state)
        except OSError as error:
            raise CheckpointError(f"checkpoint {key} cannot be written: {error}") from error
        return CheckpointPointer(key, step_index, digest, len(state))

    async def load(self, pointer: CheckpointPointer) -> bytes:
        """Returns a state.

        Raises:
            CheckpointError: it is gone, truncated or corrupt.
        """
        try:
            path = self._folder / checked_key(pointer.key)
            state = await asyncio.to_thread(path.read_bytes)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"checkpoint {pointer.key} cannot be read: {error}") from error
        if len(state) != pointer.size_bytes or sha256_digest(state) != pointer.digest:
            raise CheckpointError(f"checkpoint {pointer.key} is corrupt")
        return state

    async def delete_all(self, video_name: str) -> None:
        """Removes all checkpoints of a video."""
        folder = self._folder / video_id_of(video_name)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _write(self, key: str, state: bytes) -> str:
        path = self._folder / key
        write_file(path, [state])
        # Names sort by attempt and step: a lost worker's late file is the first to go.
        for stale in sorted(path.parent.glob("*.ckpt"))[:-_KEPT]:
            stale.unlink(missing_ok=True)
        return sha256_digest(state)
