"""Finished files and an object store that is away."""

import asyncio
from pathlib import Path

from s3_server import REGION, S3Server

from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.jobs.redis_client import connect_redis
from telecine.storage.s3_object_store import S3ObjectStore, S3Patience
from telecine.worker.held_video import HeldVideo
from telecine.worker.patient_upload import upload_patiently
from telecine.worker.worker_state import WorkerStateHolder


async def reasons_of(redis_url: str, video_name: str) -> list[str]:
    client = connect_redis(redis_url)
    events = await EventLog(client).read(video_name)
    await client.aclose()
    return [event.notice.reason for event in events if event.HasField("notice")]


async def test_a_finished_video_waits_for_an_object_store_that_is_away(
    jobs: JobStore, assignment: Assignment, redis_url: str, s3_credentials: None, tmp_path: Path
) -> None:
    checkpoints = CheckpointStore(tmp_path / "checkpoints", remote=None, quota_bytes=1 << 30)
    held = HeldVideo(assignment, jobs=jobs, checkpoints=checkpoints, state=WorkerStateHolder())
    file = tmp_path / "video.mp4"
    file.write_bytes(b"frames")
    patience = S3Patience(connect_seconds=0.5, read_seconds=0.5, num_attempts=1)
    with S3Server(tmp_path / "s3") as server:
        server.make_bucket("bucket")
        store = S3ObjectStore("bucket", endpoint=server.endpoint, region=REGION, patience=patience)
        server.stop()
        uploading = asyncio.create_task(
            upload_patiently(held, lambda: store.put_file("videos/v1/1/video.mp4", file))
        )
        while not await reasons_of(redis_url, held.video.name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        server.start()
        stored = await uploading
        assert stored == await store.stat("videos/v1/1/video.mp4")
        store.close()
    assert await reasons_of(redis_url, held.video.name) == [
        "OBJECT_STORE_UNAVAILABLE",
        "OBJECT_STORE_AVAILABLE",
    ]
