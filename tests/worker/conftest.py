"""A job store on the real Redis, with a video that a worker holds."""

from collections.abc import AsyncIterator

import pytest
from submissions import claim_next

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, Submission
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_pb2

WORKER_ID = "worker-a"


def submission(request_id: str = "", *, model: str = "toybox") -> Submission:
    """A small video of `model`."""
    return Submission(
        spec=video_pb2.VideoSpec(
            model=f"models/{model}",
            prompt="a red circle moves right",
            seed=7,
            num_inference_steps=12,
            guidance_scale=3.0,
            fps=16,
            size=video_pb2.Size(width=64, height=64),
            sampler="euler",
        ),
        num_frames=9,
        num_steps=12,
        tenant="tests",
        request_id=request_id,
        fingerprint=b"",
        model_version="1",
        model_digest="sha256:0",
        expanded_prompt="",
        warnings=(),
        step_units=1.0,
    )


@pytest.fixture
async def jobs(redis_url: str) -> AsyncIterator[JobStore]:
    """An empty job store."""
    client = connect_redis(redis_url)
    store = JobStore(client)
    await store.load_functions()
    yield store
    await store.close()
    await client.aclose()


@pytest.fixture
async def assignment(jobs: JobStore) -> Assignment:
    """A video that this test's worker has claimed."""
    await jobs.submit(submission())
    return await claim_next(jobs, lease_seconds=30.0)
