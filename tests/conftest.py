"""The real servers that tests run against, one set for each test process."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.jobs.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis that lives as long as the test process."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with RedisServer(folder) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of the same Redis, emptied."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server; tests that break one start their own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The S3 server's user, where boto3 looks for one; processes that the test starts too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


@pytest.fixture
def s3_url(s3_server: S3Server, s3_credentials: None) -> str:
    """The URL of an empty bucket."""
    bucket = f"bucket-{secrets.token_hex(8)}"
    s3_server.make_bucket(bucket)
    return s3_server.url(bucket)


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of the toybox family: random numbers, small, the same in every run."""
    # Tests without models do not wait for PyTorch and transformers to be imported.
    from random_family import write_random_family

    folder: Path = tmp_path_factory.mktemp("weights")
    write_random_family(folder)
    return folder


@pytest.fixture(scope="session")
def triton_repository(random_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Triton repository of the model `toybox` with those weights, as set-up builds it."""
    folder: Path = tmp_path_factory.mktemp("model_repository")
    script = Path(__file__).parents[1] / "scripts" / "build_model_repository.py"
    subprocess.run(
        [sys.executable, script, "--weights", random_weights, "--folder", folder],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def triton_server(
    triton_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    """A real Triton server of that repository; tests that break a server start their own."""
    log_file: Path = tmp_path_factory.mktemp("triton") / "triton.log"
    with TritonServer(TritonServerConfig.on_free_ports(triton_repository, log_file)) as server:
        yield server
