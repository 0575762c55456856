"""Copies of checkpoints on a real S3 server, also one that is away."""

from contextlib import closing
from pathlib import Path

import pytest
from s3_server import REGION, S3Server

from telecine.errors import CheckpointError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_types import CheckpointPointer
from telecine.storage.s3_object_store import S3ObjectStore, S3Patience

VIDEO = "videos/v1"
MODEL = "sha256:0"
IMPATIENT = S3Patience(connect_seconds=0.5, read_seconds=0.5, num_attempts=1)


def open_remote(server: S3Server, bucket: str = "bucket") -> S3ObjectStore:
    return S3ObjectStore(bucket, endpoint=server.endpoint, region=REGION, patience=IMPATIENT)


def open_store(
    folder: Path, remote: S3ObjectStore, *, flush_seconds: float = 30.0
) -> CheckpointStore:
    return CheckpointStore(folder, remote=remote, quota_bytes=1 << 30, flush_seconds=flush_seconds)


async def save(store: CheckpointStore, step_index: int, video: str = VIDEO) -> CheckpointPointer:
    state = b"state %d" % step_index
    return await store.save(
        video, fencing_token=1, step_index=step_index, state=state, identity=MODEL
    )


@pytest.fixture
def own_server(s3_credentials: None, tmp_path: Path) -> S3Server:
    """A server that the test may break, with the bucket `bucket`."""
    with S3Server(tmp_path / "s3") as server:
        server.make_bucket("bucket")
        yield server


async def test_slices_go_on_while_s3_hangs_and_the_newest_state_is_copied_after(
    own_server: S3Server, tmp_path: Path
) -> None:
    with closing(open_remote(own_server)) as remote:
        store = open_store(tmp_path / "here", remote)
        hasty = open_store(tmp_path / "here", remote, flush_seconds=0.1)
        with own_server.hanging():
            for step_index in range(10, 60, 10):
                newest = await save(store, step_index)
            await save(hasty, 5, video="videos/v2")
            await hasty.flush("videos/v2")  # gives up
        await hasty.close()
        await store.flush(VIDEO)
        there = open_store(tmp_path / "there", remote)
        assert await there.load(newest, identity=MODEL) == b"state 50"
        keys = [key async for key in remote.list_keys("checkpoints/v1")]
        assert len(keys) <= 2  # what was under way when S3 hung, and the newest


async def test_a_video_that_ends_while_s3_is_away_leaves_nothing_there(
    own_server: S3Server, tmp_path: Path
) -> None:
    with closing(open_remote(own_server)) as remote:
        store = open_store(tmp_path / "here", remote)
        pointer = await save(store, 10)
        await store.flush(VIDEO)
        own_server.stop()
        await save(store, 20)
        await store.delete_all(VIDEO)
        with pytest.raises(CheckpointError) as caught:
            await open_store(tmp_path / "there", remote).load(pointer, identity=MODEL)
        assert caught.value.reason == "CHECKPOINT_MISSING"
        own_server.start()
        await store.flush(VIDEO)
        assert [key async for key in remote.list_keys()] == []


async def test_what_waits_for_s3_is_bounded(s3_credentials: None, tmp_path: Path) -> None:
    nowhere = S3ObjectStore(
        "bucket", endpoint="http://127.0.0.1:1", region=REGION, patience=IMPATIENT
    )
    with closing(nowhere) as remote:
        store = open_store(tmp_path / "here", remote)
        for index in range(200):
            await save(store, 10, video=f"videos/v{index}")
        assert store._copies is not None
        assert len(store._copies._pending) <= 64
        assert "v199" in store._copies._pending
        await store.close()
