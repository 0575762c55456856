"""Videos with sound on their way through a worker's lanes, on a fake model server."""

import asyncio
import json
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fake_triton import FakeTriton
from lane_worker import NUM_STEPS, lane_submission, lane_worker
from redis.asyncio import Redis
from track_files import write_track

from telecine.inference.requests import DecodedSound
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.storage.keys import media_key
from telecine.storage.local_object_store import LocalObjectStore
from telecine.v1 import video_pb2

Video = video_pb2.Video
JOINT, POST_SYNC = video_pb2.AUDIO_MODE_JOINT, video_pb2.AUDIO_MODE_POST_SYNC
ENDED = {Video.STATE_SUCCEEDED, Video.STATE_FAILED}
MEDIA = "media/0123456789abcdef"
LAST = b"%d" % NUM_STEPS
SECONDS = Fraction(9, 16)  # nine frames of sixteen a second
NUM_SAMPLES = 27_000  # so long at 48,000 a second


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


def file_of(folder: Path, video: Video, artifact_id: str) -> Path:
    return folder / "objects" / video.name / str(video.attempt) / artifact_id


def sound_of(folder: Path, video: Video, artifact_id: str = "video.mp4") -> np.ndarray:
    """The stored file's sound, [channels, samples], without what fills the last packet up."""
    with av.open(str(file_of(folder, video, artifact_id))) as container:
        pieces = [each.to_ndarray() for each in container.decode(audio=0)]
    return np.concatenate(pieces, axis=1)[:, :NUM_SAMPLES]


def tracks_of(folder: Path, video: Video, artifact_id: str = "video.mp4") -> dict[str, Fraction]:
    """How long each stream of the stored file is, in seconds, by its type."""
    with av.open(str(file_of(folder, video, artifact_id))) as container:
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
    # Black frames have no mouth; a tone is a shape all the same.
    assert video.lip_sync.confidence == 0
    assert video.lip_sync.visemes
    told = file_of(tmp_path, video, "lip_sync.json").read_text()
    assert len(json.loads(told)["visemes"]) == len(video.lip_sync.visemes)
    kinds = {artifact.artifact_id: artifact.kind for artifact in video.artifacts}
    assert kinds["lip_sync.json"] == video_pb2.Artifact.KIND_LIP_SYNC


async def test_video_without_sound_meets_no_sound_on_its_way(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, audio_mode=video_pb2.AUDIO_MODE_NONE)
    assert video.state == Video.STATE_SUCCEEDED
    assert triton.sounds == []
    assert "AUDIO" not in await stages(redis, video)
    assert tracks_of(tmp_path, video) == {"video": SECONDS}
    assert not video.HasField("lip_sync")
    assert "lip_sync.json" not in [artifact.artifact_id for artifact in video.artifacts]


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


async def test_video_that_is_lost_at_its_sound_goes_on_there(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(sound_deaths=3)  # as often as a worker bears
    video = await made(jobs, redis, triton, tmp_path, audio_mode=JOINT)
    assert (video.state, video.attempt) == (Video.STATE_SUCCEEDED, 2)
    assert len(triton.steps) == NUM_STEPS, "no step is done twice"
    assert triton.sounds == 4 * [("decode", LAST)]
    assert tracks_of(tmp_path, video) == {"video": SECONDS, "audio": SECONDS}


@pytest.mark.parametrize("kind", ["wav", "m4a", "ogg"])
async def test_track_of_one_s_own_is_in_the_file_as_it_is(
    jobs: JobStore, redis: Redis, tmp_path: Path, kind: str
) -> None:
    # Silent but for its second quarter of a second, and longer than the video.
    samples = np.zeros((2, 48_000), np.float32)
    samples[:, 12_000:24_000] = 0.5 * np.sin(np.arange(12_000) / 10)
    path = write_track(tmp_path / "track", samples, 48_000, kind)
    store = LocalObjectStore(tmp_path / "objects")
    await store.put_file(media_key(MEDIA), path)
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, input_audio=MEDIA)
    assert video.state == Video.STATE_SUCCEEDED, video.failure
    assert triton.sounds == []
    assert "AUDIO" in await stages(redis, video)
    assert tracks_of(tmp_path, video) == {"video": SECONDS, "audio": SECONDS}
    heard = np.abs(sound_of(tmp_path, video))
    assert heard.shape == (2, NUM_SAMPLES)
    assert heard[:, 12_500:23_500].max() > 0.4
    for silent in (heard[:, :11_000], heard[:, 25_000:]):
        assert silent.max() < 0.05


async def test_picture_is_made_to_a_track_that_is_in_the_file_as_it_is(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    samples = 0.5 * np.sin(np.arange(48_000, dtype=np.float32) / 10)[None]
    path = write_track(tmp_path / "track", samples, 48_000, "wav")
    await LocalObjectStore(tmp_path / "objects").put_file(media_key(MEDIA), path)
    # The server dies once: the sound is encoded once all the same, and every slice has it.
    triton = FakeTriton(deaths=frozenset({7}))
    video = await made(jobs, redis, triton, tmp_path, audio_mode=JOINT, input_audio=MEDIA)
    assert video.state == Video.STATE_SUCCEEDED, video.failure
    (heard,) = triton.heard
    # A second more than the video: its last latents of sound end after it.
    assert heard.shape == (9_000 + 16_000,)
    assert len(triton.given_audio) == 4
    assert all(np.array_equal(given, heard[None, ::640]) for given in triton.given_audio)
    assert triton.sounds == [], "nothing is decoded"
    assert await stages(redis, video) == [
        *("LOADING", "CONDITIONING", "DENOISING", "DECODING", "AUDIO", "UPLOADING")
    ]
    assert tracks_of(tmp_path, video) == {"video": SECONDS, "audio": SECONDS}
    kept = slice(1_000, NUM_SAMPLES - 1_000)
    assert np.abs(sound_of(tmp_path, video)[:, kept] - samples[:, kept]).max() < 0.05
    assert video.lip_sync.visemes
    assert "lip_sync.json" in [artifact.artifact_id for artifact in video.artifacts]


async def test_track_that_cannot_be_read_fails_the_video_before_any_step(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    await LocalObjectStore(tmp_path / "objects").put(media_key(MEDIA), b"RIFF????WAVEfmt ")
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, input_audio=MEDIA)
    assert video.state == Video.STATE_FAILED
    assert "spec.input_audio" in video.failure.message
    assert triton.steps == []


async def test_sound_that_is_none_fails_the_video_by_its_model(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    broken = DecodedSound(np.full((1, 100), np.nan, np.float32), 16_000)
    video = await made(jobs, redis, FakeTriton(sound=broken), tmp_path, audio_mode=JOINT)
    assert video.state == Video.STATE_FAILED
    assert video.failure.reason == "MODEL_FAILED"
    assert "no numbers" in video.failure.message


async def test_webm_has_the_sound_too(jobs: JobStore, redis: Redis, tmp_path: Path) -> None:
    formats = [video_pb2.OUTPUT_FORMAT_MP4_H264, video_pb2.OUTPUT_FORMAT_WEBM_VP9]
    spec = {"audio_mode": JOINT, "output_formats": formats}
    video = await made(jobs, redis, FakeTriton(), tmp_path, **spec)
    assert video.state == Video.STATE_SUCCEEDED
    for artifact_id in ("video.mp4", "video.webm"):
        assert sound_of(tmp_path, video, artifact_id).shape == (1, NUM_SAMPLES)


async def test_live_file_of_a_realtime_video_is_silent_and_its_whole_file_is_not(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    video = await made(jobs, redis, triton, tmp_path, tier="REALTIME", audio_mode=POST_SYNC)
    assert video.state == Video.STATE_SUCCEEDED
    assert set(tracks_of(tmp_path, video)) == {"video", "audio"}
    assert set(tracks_of(tmp_path, video, "live.mp4")) == {"video"}
