"""The processes that are broken on purpose: Redis, workers with their Triton servers, a gateway.

Whatever ends is started again, as `telecine up` or Kubernetes would.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from whole_service import build_repository

from telecine.config import (
    GatewaySettings,
    RedisSettings,
    StorageSettings,
    TritonSettings,
    WorkerSettings,
)
from telecine.errors import TelecineError
from telecine.free_ports import free_port
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.jobs.redis_server import RedisServer
from telecine.local.local_service import Server
from telecine.local.python_process import PythonProcess
from telecine.local.settings_file import to_toml
from telecine.settings_section import Section

LEASE_SECONDS = 3.0
SLICE_STEPS = 2
RESTLESS = WorkerSettings(
    lease_seconds=LEASE_SECONDS,
    heartbeat_seconds=LEASE_SECONDS / 10,
    slice_steps=SLICE_STEPS,
    stream_timeout_seconds=10.0,
)
"""Workers whose loss is soon noticed."""
READY_SECONDS = 120.0
_WATCH_SECONDS = 0.2
_PROC = Path("/proc")
_COMMITTED = Path(__file__).resolve().parents[2] / "model_repository"
_ROLES = {path.name.partition("__")[2] for path in _COMMITTED.glob("toybox__*")}
# Their models are Triton's own: an ensemble has no process.
_STUB_ROLES = tuple(sorted(_ROLES - {"prompt_encoder", "image_conditioner"}))


class Fleet:
    """All processes of one service in a folder.

    Args:
        folder: as the attribute.
        weights: what the workers serve.
        num_pods: workers, each with a Triton server of its own.
        worker: how they are set.

    Attributes:
        folder: where all of it lies.
        num_restarts: how many processes had ended and were started again.
    """

    def __init__(
        self, folder: Path, weights: Path, *, num_pods: int, worker: WorkerSettings = RESTLESS
    ) -> None:
        self.num_restarts = 0
        self.address = f"127.0.0.1:{free_port()}"
        self.checkpoints = folder / "checkpoints"
        self.folder = folder
        self._weights = weights
        self._worker = worker
        self._pods = range(1, num_pods + 1)
        self._servers: dict[str, Server] = {}
        self._starts: dict[str, Callable[[], None]] = {}
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher")

    @property
    def redis_url(self) -> str:
        """Where the store is reached."""
        redis = self._servers["redis"]
        assert isinstance(redis, RedisServer)
        return redis.url

    def start(self) -> None:
        """Starts everything; returns when all models are loaded."""
        repository = self.folder / "model_repository"
        build_repository(repository, [self._weights])
        self._add_redis()
        tritons = [self._add_triton(pod, repository) for pod in self._pods]
        self._add("gateway", {"gateway": GatewaySettings(port=int(self.address.split(":")[1]))})
        for pod, triton in zip(self._pods, tritons, strict=True):
            self._add_worker(pod, triton)
        for start in self._starts.values():
            start()
        for triton in tritons:
            triton.wait_until_ready(READY_SECONDS)
        self._watcher.start()

    def stop(self) -> None:
        """Ends everything."""
        self._stopping.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        for server in reversed(self._servers.values()):
            server.stop()

    def targets(self) -> dict[str, int]:
        """Returns what can be broken now: names of processes, stubs among them, and their ids."""
        found = {name: pid for name, server in self._servers.items() if (pid := server.pid)}
        for name, pid in list(found.items()):
            if name.startswith("triton"):
                for role, stub_pid in _stubs_of(pid).items():
                    found[f"{name.replace('triton', 'stub')}-{role}"] = stub_pid
        return found

    def _add_redis(self) -> None:
        redis = RedisServer(self.folder / "redis")
        self._servers["redis"], self._starts["redis"] = redis, redis.start

    def _add_triton(self, pod: int, repository: Path) -> TritonServer:
        config = TritonServerConfig.on_free_ports(repository, self.folder / f"triton-{pod}.log")
        triton = TritonServer(config)

        def launch() -> None:
            triton.kill()  # its models' processes outlive it
            triton.launch()

        self._servers[f"triton-{pod}"], self._starts[f"triton-{pod}"] = triton, launch
        return triton

    def _add_worker(self, pod: int, triton: TritonServer) -> None:
        settings = self._worker.model_copy(
            update={
                "worker_id": f"worker-{pod}",
                "models": (str(self._weights),),
                "checkpoint_folder": self.checkpoints,
            }
        )
        sections = {"worker": settings, "triton": TritonSettings(grpc_url=triton.grpc_url)}
        self._add(f"worker-{pod}", sections)

    def _add(self, name: str, sections: dict[str, Section]) -> None:
        path = self.folder / f"{name}.toml"
        shared: dict[str, Section] = {
            "redis": RedisSettings(url=self.redis_url, memory_folder=self.folder / "memory"),
            "storage": StorageSettings(url=str(self.folder / "objects")),
        }
        path.write_text(to_toml(shared | sections))
        command = name.split("-", maxsplit=1)[0]
        process = PythonProcess(command, settings=path, log=self.folder / f"{name}.log")
        self._servers[name], self._starts[name] = process, process.start

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            for name, server in self._servers.items():
                if isinstance(server, TritonServer):
                    server.end_if_crashed()
                if server.pid is None and not self._stopping.is_set():
                    self.num_restarts += 1
                    try:
                        self._starts[name]()
                    except (TelecineError, OSError) as error:  # the next round tries again
                        print(f"{name} does not start: {error}", flush=True)


def _stubs_of(triton_pid: int) -> dict[str, int]:
    """The processes of a server's models, by role."""
    stubs: dict[str, int] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_text() if parent == triton_pid else ""
        except OSError:  # it has ended
            continue
        for role in _STUB_ROLES:
            if f"__{role}/" in command:
                stubs[role] = int(stat.parent.name)
    return stubs
