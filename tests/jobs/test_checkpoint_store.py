"""Checkpoints on disk, and their copies in an object store."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from telecine.errors import CheckpointError, NotFoundError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_types import CheckpointPointer
from telecine.jobs.video_record import decode_checkpoints, encode_checkpoint
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import ObjectStore

VIDEO = "videos/v1"
OTHER = "videos/v2"
STATE = bytes(range(256)) * 100
MODEL = "sha256:0"


def open_store(
    folder: Path, *, remote: ObjectStore | None = None, quota_bytes: int = 1 << 30
) -> CheckpointStore:
    return CheckpointStore(folder, remote=remote, quota_bytes=quota_bytes, flush_seconds=5.0)


async def save(
    store: CheckpointStore, step_index: int, *, video: str = VIDEO, fencing_token: int = 1
) -> CheckpointPointer:
    return await store.save(
        video, fencing_token=fencing_token, step_index=step_index, state=STATE, identity=MODEL
    )


async def reason_of_load(store: CheckpointStore, pointer: CheckpointPointer) -> str:
    with pytest.raises(CheckpointError) as caught:
        await store.load(pointer, identity=MODEL)
    return caught.value.reason


def saved_steps(folder: Path, video_id: str = "v1") -> list[int]:
    names = sorted(path.stem for path in (folder / video_id).glob("*.ckpt"))
    return [int(name.split("-")[1]) for name in names]


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Lets the kernel refuse larger files, as a disk does that has no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_saved_state_comes_back(tmp_path: Path) -> None:
    pointer = await save(open_store(tmp_path), 10)
    assert pointer.step_index == 10
    assert pointer.size_bytes == len(STATE)
    # Another worker on the same disk.
    assert await open_store(tmp_path).load(pointer, identity=MODEL) == STATE


async def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    pointer = await save(store, 10)
    path = tmp_path / pointer.key
    for data in (STATE[:-1], b"", STATE + b"x", b"\x01" + STATE[1:]):
        path.write_bytes(data)
        assert await reason_of_load(store, pointer) == "CHECKPOINT_CORRUPT"
    path.unlink()
    assert await reason_of_load(store, pointer) == "CHECKPOINT_MISSING"


async def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    pointer = await save(store, 10)
    foreign = replace(pointer, identity="sha256:1")
    assert await reason_of_load(store, foreign) == "CHECKPOINT_FOREIGN"


async def test_pointers_written_before_models_were_noted_still_load(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    pointer = await save(store, 10)
    line = encode_checkpoint(pointer)
    old = {name: value for name, value in asdict(pointer).items() if name != "identity"}
    (decoded,) = decode_checkpoints({b"checkpoints": repr(old).replace("'", '"').encode()})
    assert decode_checkpoints({b"checkpoints": line.encode()}) == (pointer,)
    assert await store.load(decoded, identity=MODEL) == STATE


async def test_pointer_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(STATE)
    remote = LocalObjectStore(tmp_path / "remote")
    store = open_store(tmp_path / "checkpoints", remote=remote)
    pointer = await save(store, 10)
    for key in ("../secret", str(tmp_path / "secret"), "", "a/../../secret"):
        assert await reason_of_load(store, replace(pointer, key=key)) == "CHECKPOINT_CORRUPT"
    with pytest.raises(NotFoundError):
        await save(store, 1, video="videos/../x")
    await store.close()


async def test_the_newest_four_are_kept_and_a_lost_workers_late_one_is_not(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    for step_index in (10, 20, 30, 40, 50, 100):
        await save(store, step_index, fencing_token=2)
    await save(store, 110, fencing_token=1)
    assert saved_steps(tmp_path) == [30, 40, 50, 100]


async def test_checkpoints_of_one_video_are_removed_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await save(store, 10)
    other = await save(store, 10, video=OTHER)
    await store.delete_all(VIDEO)
    await store.delete_all(VIDEO)
    assert not (tmp_path / "v1").exists()
    assert await store.load(other, identity=MODEL) == STATE


async def test_checkpoint_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v1").write_text("a file where the folder should be")
    with pytest.raises(CheckpointError) as caught:
        await save(open_store(tmp_path), 1)
    assert caught.value.reason == "CHECKPOINT_NOT_WRITTEN"


async def test_a_write_that_breaks_off_leaves_the_checkpoint_before_it_whole(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    pointer = await save(store, 10)
    with largest_file(len(STATE) // 2), pytest.raises(CheckpointError) as caught:
        await save(store, 20)
    assert caught.value.reason == "CHECKPOINT_NOT_WRITTEN"
    assert [path.name for path in (tmp_path / "v1").iterdir()] == [Path(pointer.key).name]
    assert await store.load(pointer, identity=MODEL) == STATE


async def test_a_full_quota_costs_a_video_its_own_older_checkpoints_first(tmp_path: Path) -> None:
    store = open_store(tmp_path, quota_bytes=3 * len(STATE))
    for step_index in (10, 20, 30, 40):
        pointer = await save(store, step_index)
    assert saved_steps(tmp_path) == [20, 30, 40]
    assert await store.load(pointer, identity=MODEL) == STATE


async def test_a_full_quota_touches_no_other_video_and_not_the_newest(tmp_path: Path) -> None:
    store = open_store(tmp_path, quota_bytes=2 * len(STATE))
    await save(store, 10)
    await save(store, 10, video=OTHER)
    for _ in range(2):
        with pytest.raises(CheckpointError) as caught:
            await save(store, 20)
        assert caught.value.reason == "CHECKPOINT_NOT_WRITTEN"
    assert (saved_steps(tmp_path), saved_steps(tmp_path, "v2")) == ([10], [10])
    await store.delete_all(OTHER)
    await save(store, 20)
    assert saved_steps(tmp_path) == [10, 20]


async def test_another_machine_loads_the_copy(tmp_path: Path) -> None:
    remote = LocalObjectStore(tmp_path / "remote")
    here = open_store(tmp_path / "here", remote=remote)
    pointer = await save(here, 10)
    await here.flush(VIDEO)
    there = open_store(tmp_path / "there", remote=remote)
    assert await there.load(pointer, identity=MODEL) == STATE


async def test_a_damaged_file_is_made_good_by_its_copy(tmp_path: Path) -> None:
    store = open_store(tmp_path / "here", remote=LocalObjectStore(tmp_path / "remote"))
    pointer = await save(store, 10)
    await store.flush(VIDEO)
    (tmp_path / "here" / pointer.key).write_bytes(b"damaged")
    assert await store.load(pointer, identity=MODEL) == STATE
    (tmp_path / "remote" / "checkpoints" / pointer.key).write_bytes(b"damaged too")
    (tmp_path / "here" / pointer.key).unlink()
    assert await reason_of_load(store, pointer) == "CHECKPOINT_CORRUPT"
    (tmp_path / "remote" / "checkpoints" / pointer.key).unlink()
    assert await reason_of_load(store, pointer) == "CHECKPOINT_MISSING"


async def test_the_copies_of_a_video_go_with_it(tmp_path: Path) -> None:
    remote = LocalObjectStore(tmp_path / "remote")
    store = open_store(tmp_path / "here", remote=remote)
    for step_index in (10, 20, 30, 40, 50):
        await save(store, step_index)
        await store.flush(VIDEO)
    await save(store, 10, video=OTHER)
    await store.flush(OTHER)
    keys = [key async for key in remote.list_keys("checkpoints/v1")]
    assert [key[-9:-5] for key in keys] == ["0030", "0040", "0050"]
    await store.delete_all(VIDEO)
    await store.flush(VIDEO)
    assert [key async for key in remote.list_keys()] == ["checkpoints/v2/000001-000010.ckpt"]


async def test_what_dead_processes_left_of_videos_that_are_over_is_swept(tmp_path: Path) -> None:
    remote = LocalObjectStore(tmp_path / "remote")
    folder = tmp_path / "here"
    dead = open_store(folder, remote=remote)
    for video in (VIDEO, OTHER):
        await save(dead, 10, video=video)
        await dead.flush(video)
    elsewhere = open_store(tmp_path / "elsewhere", remote=remote)
    await save(elsewhere, 10, video="videos/v3")
    await elsewhere.flush("videos/v3")
    abandoned, begun_now = (folder / "v2" / f".writing-{name}" for name in ("old", "new"))
    for path in (abandoned, begun_now):
        path.write_bytes(STATE)
    os.utime(abandoned, (time.time() - 3600,) * 2)
    (folder / "lost+found").mkdir()

    async def is_over(name: str) -> bool:
        return name != OTHER

    store = open_store(folder, remote=remote)
    assert await store.sweep(is_over) == 2
    for video in (VIDEO, "videos/v3"):
        await store.flush(video)
    assert sorted(path.name for path in folder.iterdir()) == ["lost+found", "v2"]
    assert not abandoned.exists()
    assert begun_now.exists()
    assert [key async for key in remote.list_keys()] == ["checkpoints/v2/000001-000010.ckpt"]
