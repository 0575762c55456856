"""Redis on a disk that fills up."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from small_disk import fill, small_disk
from submissions import make_submission

from telecine.errors import StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.local.disk_guard import DiskGuard

RESERVE_BYTES = 1 << 20


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with small_disk(tmp_path / "disk", num_bytes=8 << 20) as disk, RedisServer(disk) as server:
        yield server


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[Redis]:
    connected = connect_redis(redis_server.url)
    yield connected
    await connected.aclose()


async def test_redis_refuses_videos_before_its_disk_is_full_and_takes_them_when_there_is_room(
    redis_server: RedisServer, client: Redis
) -> None:
    reports: list[str] = []
    guard = DiskGuard(redis_server, reports.append, reserve_bytes=RESERVE_BYTES)
    jobs = JobStore(client)
    kept = await jobs.submit(make_submission())
    guard.check()
    await jobs.submit(make_submission())
    ballast = fill(redis_server.folder, leave_bytes=RESERVE_BYTES // 2)
    for _ in range(2):
        guard.check()
        with pytest.raises(StoreUnavailableError, match="its disk is full"):
            await jobs.submit(make_submission())
        assert await jobs.get(kept.name) == kept
    redis_server.kill()
    redis_server.start()
    await client.connection_pool.disconnect()
    guard.check()
    with pytest.raises(StoreUnavailableError, match="its disk is full"):
        await jobs.submit(make_submission())
    ballast.unlink()
    guard.check()
    await jobs.submit(make_submission())
    assert [report.startswith("the disk is nearly full") for report in reports] == [
        True,
        True,
        False,
    ]


async def test_guard_of_a_redis_that_is_away_waits_for_it(redis_server: RedisServer) -> None:
    guard = DiskGuard(redis_server, lambda _: None, reserve_bytes=RESERVE_BYTES)
    redis_server.kill()
    fill(redis_server.folder)
    guard.check()
    (redis_server.folder / "ballast").unlink()
    guard.check()
