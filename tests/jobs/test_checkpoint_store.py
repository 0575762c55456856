"""Checkpoints on disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from telecine.errors import CheckpointError, NotFoundError
from telecine.jobs.checkpoint_store import CheckpointStore

VIDEO = "videos/v1"
STATE = bytes(range(256)) * 100


async def test_saved_state_comes_back(tmp_path: Path) -> None:
    pointer = await CheckpointStore(tmp_path).save(VIDEO, attempt=1, step_index=10, state=STATE)
    assert pointer.step_index == 10
    assert pointer.size_bytes == len(STATE)
    # Another worker on the same disk.
    assert await CheckpointStore(tmp_path).load(pointer) == STATE


async def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    pointer = await store.save(VIDEO, attempt=1, step_index=10, state=STATE)
    path = tmp_path / pointer.key
    damaged = (STATE[:-1], b"", STATE + b"x", b"\x01" + STATE[1:])
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            await store.load(pointer)
    path.unlink()
    with pytest.raises(CheckpointError):
        await store.load(pointer)


async def test_pointer_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(STATE)
    store = CheckpointStore(tmp_path / "checkpoints")
    pointer = await store.save(VIDEO, attempt=1, step_index=10, state=STATE)
    for key in ("../secret", str(tmp_path / "secret"), "", "a/../../secret"):
        with pytest.raises(CheckpointError):
            await store.load(replace(pointer, key=key))
    with pytest.raises(NotFoundError):
        await store.save("videos/../x", attempt=1, step_index=1, state=STATE)


async def test_the_newest_four_are_kept_and_a_lost_workers_late_one_is_not(
    tmp_path: Path,
) -> None:
    store = CheckpointStore(tmp_path)
    for step_index in (10, 20, 30, 40, 50, 100):
        await store.save(VIDEO, attempt=2, step_index=step_index, state=STATE)
    await store.save(VIDEO, attempt=1, step_index=110, state=STATE)
    names = sorted(path.name for path in (tmp_path / "v1").iterdir())
    assert names == [f"000002-{step:06d}.ckpt" for step in (30, 40, 50, 100)]


async def test_checkpoints_of_one_video_are_removed_alone(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    await store.save(VIDEO, attempt=1, step_index=10, state=STATE)
    other = await store.save("videos/v2", attempt=1, step_index=10, state=STATE)
    await store.delete_all(VIDEO)
    await store.delete_all(VIDEO)
    assert not (tmp_path / "v1").exists()
    assert await store.load(other) == STATE


async def test_checkpoint_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v1").write_text("a file where the folder should be")
    with pytest.raises(CheckpointError):
        await CheckpointStore(tmp_path).save(VIDEO, attempt=1, step_index=1, state=STATE)
