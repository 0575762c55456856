"""A worker's disk that is full or broken, and the worker's rest after that."""

import asyncio
import errno
import tempfile
from pathlib import Path

import av
import pytest
from fake_triton import FakeTriton
from lane_worker import lane_submission, lane_worker
from small_disk import fill, small_disk

from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_pb2
from telecine.worker import own_disk
from telecine.worker.interruptions import HandBack
from telecine.worker.own_disk import OwnDisk

Video = video_pb2.Video


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def break_off(disk: OwnDisk, error: Exception) -> None:
    with disk.used_by("videos/a"):
        raise error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("kind", [OSError, av.error.OSError])
def test_a_fault_of_the_disk_hands_the_video_back(kind: type[OSError], number: int) -> None:
    disk = OwnDisk()
    with pytest.raises(HandBack) as hand_back:
        break_off(disk, kind(number, "a fault"))
    assert hand_back.value.counts_as_loss
    assert not disk.is_trusted


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "gone"), ValueError()])
def test_other_errors_are_not_the_disk_s(error: Exception) -> None:
    disk = OwnDisk()
    with pytest.raises(type(error)):
        break_off(disk, error)
    assert disk.is_trusted


def test_pauses_grow_until_a_video_is_made() -> None:
    clock = Clock()
    disk = OwnDisk(clock=clock)
    for pause_seconds in (30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0):
        with pytest.raises(HandBack):
            break_off(disk, OSError(errno.ENOSPC, "full"))
        clock.now += pause_seconds - 1.0
        assert not disk.is_trusted
        clock.now += 1.0
        assert disk.is_trusted
    with disk.used_by("videos/a"):
        pass
    with pytest.raises(HandBack):
        break_off(disk, OSError(errno.ENOSPC, "full"))
    clock.now += 30.0
    assert disk.is_trusted


async def test_a_full_disk_drains_no_queue(
    jobs: JobStore, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_disk, "_FIRST_PAUSE_SECONDS", 2.0)
    names = [(await jobs.submit(lane_submission(seed))).name for seed in (1, 2)]
    redis = connect_redis(redis_url)
    with small_disk(tmp_path / "disk", num_bytes=1 << 20) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        ballast = fill(disk)
        async with lane_worker(redis, FakeTriton(), tmp_path, backlog=1), asyncio.timeout(60):
            while (await jobs.get(names[0])).attempt < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while (await jobs.get(names[0])).state != Video.STATE_QUEUED:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            second = await jobs.get(names[1])
            assert (second.state, second.attempt) == (Video.STATE_QUEUED, 0)
            ballast.unlink()
            for name in names:
                while (await jobs.get(name)).state != Video.STATE_SUCCEEDED:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert [(await jobs.get(name)).attempt for name in names] == [2, 1]
    await redis.aclose()
