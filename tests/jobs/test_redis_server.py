"""Starting and stopping a real Redis."""

from pathlib import Path

import pytest
import redis

from telecine.errors import StoreUnavailableError
from telecine.jobs.redis_server import RedisServer, find_redis_binary


def test_what_was_written_outlives_a_crash(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "data")
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"
    server.stop()
    assert server.pid is None


def test_a_port_in_use_is_an_error_and_leaves_no_process(redis_server: str, tmp_path: Path) -> None:
    port = int(redis_server.removesuffix("/0").rpartition(":")[2])
    second = RedisServer(tmp_path, port=port)
    with pytest.raises(StoreUnavailableError):
        second.start()
    assert second.pid is None


def test_redis_found_on_this_machine_runs() -> None:
    assert find_redis_binary().is_file()
