"""A whole service for a benchmark: Redis, Triton, worker and gateway, each a real process."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from telecine.client import Client, UnavailableError
from telecine.config import (
    GatewaySettings,
    RedisSettings,
    StorageSettings,
    TritonSettings,
    WorkerSettings,
)
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.jobs.redis_server import RedisServer
from telecine.local.python_process import PythonProcess
from telecine.local.settings_file import to_toml
from telecine.v1 import model_pb2

BUILD_SCRIPT = Path(__file__).resolve().parents[1] / "build_model_repository.py"
_START_SECONDS = 120.0


def build_repository(folder: Path, weights: Sequence[Path]) -> None:
    """Writes the Triton repository of some weights folders, each model named as its folder."""
    for model in weights:
        command = [sys.executable, BUILD_SCRIPT, "--model", model.name]
        command += ["--weights", model, "--folder", folder]
        subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def whole_service(folder: Path, weights: Sequence[Path], *, threads: int) -> Iterator[Client]:
    """Serves some weights folders; yields a client of a gateway that is ready."""
    repository = folder / "model_repository"
    build_repository(repository, weights)
    triton_config = TritonServerConfig.on_free_ports(
        repository, folder / "triton.log", num_threads=threads
    )
    with (
        RedisServer(folder / "redis") as redis,
        TritonServer(triton_config) as triton,
        contextlib.ExitStack() as stack,
    ):
        address = folder / "address"
        settings = folder / "telecine.toml"
        settings.write_text(
            to_toml(
                {
                    "gateway": GatewaySettings(address_file=address),
                    "redis": RedisSettings(url=redis.url),
                    "triton": TritonSettings(grpc_url=triton.grpc_url),
                    "storage": StorageSettings(url=str(folder / "objects")),
                    "worker": WorkerSettings(
                        models=tuple(map(str, weights)), checkpoint_folder=folder / "checkpoints"
                    ),
                }
            )
        )
        for name in ("worker", "gateway"):
            process = PythonProcess(name, settings=settings, log=folder / f"{name}.log")
            process.start()
            stack.callback(process.stop)
        _wait_for(address.exists)
        client = stack.enter_context(Client(address.read_text().strip()))
        _wait_for(lambda: _num_ready(client) == len(weights))
        yield client


def _num_ready(client: Client) -> int:
    try:
        return sum(m.state == model_pb2.Model.STATE_READY for m in client.list_models())
    except UnavailableError:
        return 0


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the service did not come up")
        time.sleep(0.05)
