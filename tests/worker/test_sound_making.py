"""Videos with sound on their way through a worker's lanes, on a fake model server."""

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fake_triton import FakeTriton
from lane_worker import NUM_STEPS, lane_submission, lane_worker
from redis.asyncio import Redis

from telecine.inference.requests import DecodedSound
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_pb2

Video = video_pb2.Video
JOINT, POST_SYNC = video_pb2.AUDIO_MODE_JOINT, video_pb2.AUDIO_MODE_POST_SYNC
ENDED = {Video.STATE_SUCCEEDED, Video.STATE_FAILED}
LAST = b"%d" % NUM_STEPS
SECONDS = Fraction(9, 16)  # nine frames of sixteen a second


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_redis(redis_url)
    yield client
    await client.aclose()


async def made(
    jobs: JobStore, redis: Redis, triton: FakeTriton, folder: Path, **spec: object
) -> Video:
    """The video once it has ended."""
    video = await jobs.submit(lane_submission(1, **spec))  # type: ignore[arg-type]
    async with lane_worker(redis, triton, folder), asyncio.timeout(60):
        while video.state not in ENDED:
            await asyncio.sleep(0.005)
            video = await jobs.get(video.name)
    return video


async def stages(redis: Redis, video: Video) -> list[str]:
    events = await EventLog(redis).read(video.name)
    return [
        video_pb2.Stage.Name(event.stage_changed.stage).removeprefix("STAGE_")
        for event in events
        if event.HasField("stage_changed")
    ]


def tracks_of(folder: Path, video: Video, artifact_id: str = "video.mp4") -> dict[str, Fraction]:
    """How long each stream of the stored file is, in seconds, by its type."""
    path = folder / "objects" / video.name / str(video.attempt) / artifact_id
    with av.open(str(path)) as container:
        return {each.type: each.duration * each.time_base for each in container.streams}


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        (JOINT, [("decode", LAST)]),
        (POST_SYNC, [("make", LAST), ("decode", LAST + b" with sound")]),
    ],
    ids=["JOINT", "POST_SYNC"],
)
async def test_sound_is_made_of_the_last_state_and_is_as_long_as_the_picture(
    jobs: JobStore,
    redis: Redis,
    tmp_path: Path,
    mode: int,
    calls: list[tuple[str, bytes]],
) -> None:
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, audio_mode=mode)
    assert video.state == Video.STATE_SUCCEEDED
    assert triton.sounds == calls
    assert await stages(redis, video) == [
        *("LOADING", "CONDITIONING", "DENOISING", "DECODING", "AUDIO", "UPLOADING")
    ]
    assert tracks_of(tmp_path, video) == {"video": SECONDS, "audio": SECONDS}


async def test_video_without_sound_meets_no_sound_on_its_way(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, audio_mode=video_pb2.AUDIO_MODE_NONE)
    assert video.state == Video.STATE_SUCCEEDED
    assert triton.sounds == []
    assert "AUDIO" not in await stages(redis, video)
    assert tracks_of(tmp_path, video) == {"video": SECONDS}


@pytest.mark.parametrize("mode", [JOINT, POST_SYNC])
async def test_lost_model_server_costs_the_sound_alone(
    jobs: JobStore, redis: Redis, tmp_path: Path, mode: int
) -> None:
    triton = FakeTriton(sound_deaths=2)
    video = await made(jobs, redis, triton, tmp_path, audio_mode=mode)
    assert (video.state, video.attempt) == (Video.STATE_SUCCEEDED, 1)
    assert len(triton.steps) == NUM_STEPS
    assert triton.num_repairs == 2
    assert "audio" in tracks_of(tmp_path, video)


async def test_sound_that_is_none_fails_the_video_by_its_model(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    broken = DecodedSound(np.full((1, 100), np.nan, np.float32), 16_000)
    video = await made(jobs, redis, FakeTriton(sound=broken), tmp_path, audio_mode=JOINT)
    assert video.state == Video.STATE_FAILED
    assert video.failure.reason == "MODEL_FAILED"
    assert "no numbers" in video.failure.message


async def test_live_file_of_a_realtime_video_is_silent_and_its_whole_file_is_not(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, tier="REALTIME", audio_mode=POST_SYNC)
    assert video.state == Video.STATE_SUCCEEDED
    assert set(tracks_of(tmp_path, video)) == {"video", "audio"}
    assert set(tracks_of(tmp_path, video, "live.mp4")) == {"video"}
