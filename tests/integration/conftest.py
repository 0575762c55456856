"""A whole service of real processes on random weights, each of which a test can break."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from google.protobuf import duration_pb2, json_format

from telecine.client import AsyncClient, VideoOptions
from telecine.config import (
    GatewaySettings,
    RedisSettings,
    StorageSettings,
    TritonSettings,
    WorkerSettings,
)
from telecine.free_ports import free_port
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.local.python_process import PythonProcess
from telecine.local.settings_file import to_toml
from telecine.settings_section import Section
from telecine.v1 import model_pb2, video_pb2

from .waiting import until

CARD = model_pb2.Model(
    display_name="Toybox of random numbers",
    family="toybox",
    version="random",
    limits=model_pb2.ModelLimits(
        sizes=[video_pb2.Size(width=64, height=64), video_pb2.Size(width=256, height=256)],
        min_num_frames=1,
        max_num_frames=961,
        frames_multiple=4,
        min_num_inference_steps=1,
        max_num_inference_steps=400,
        min_fps=1,
        max_fps=60,
        min_guidance_scale=1.0,
        max_guidance_scale=20.0,
        samplers=["euler", "heun"],
        audio_modes=[video_pb2.AUDIO_MODE_NONE],
        max_duration=duration_pb2.Duration(seconds=60),
        max_prompt_tokens=32,
        attention_strategies=["full", "causal", "window"],
    ),
    defaults=video_pb2.VideoSpec(
        num_inference_steps=6,
        guidance_scale=3.0,
        duration=duration_pb2.Duration(seconds=1),
        fps=8,
        size=video_pb2.Size(width=64, height=64),
        sampler="euler",
        audio_mode=video_pb2.AUDIO_MODE_NONE,
    ),
)
# Long enough to be broken in the middle.
LONG: VideoOptions = {
    "num_inference_steps": 60,
    "seed": 11,
    "size": (256, 256),
    "duration_seconds": 4.0,
}


@pytest.fixture(scope="session")
def weights(random_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random weights as a folder that a worker serves as `toybox`."""
    folder: Path = tmp_path_factory.mktemp("models") / "toybox"
    shutil.copytree(random_weights, folder)
    (folder / "model.json").write_text(json_format.MessageToJson(CARD))
    return folder


@dataclass
class Service:
    """The processes around one Redis and one Triton server."""

    folder: Path
    redis_url: str
    triton_url: str
    weights: Path
    worker_settings: dict[str, object] = field(default_factory=dict)
    storage_url: str = ""
    processes: list[PythonProcess] = field(default_factory=list)
    num_workers: int = 0
    gateway: PythonProcess = field(init=False)

    @property
    def checkpoints(self) -> Path:
        """Where every worker keeps its checkpoints: they share a disk."""
        return self.folder / "checkpoints"

    def has_no_checkpoints(self) -> bool:
        """Whether the checkpoints of every video are gone."""
        return not any(self.checkpoints.rglob("*.ckpt"))

    async def start_gateway(self) -> AsyncClient:
        """Starts a gateway and returns a client of it."""
        address = self.folder / "address"
        settings = GatewaySettings(address_file=address, port=free_port())
        self.gateway = self._start("gateway", {"gateway": settings})
        await until(address.exists)
        return AsyncClient(address.read_text().strip())

    def start_worker(self, **settings: object) -> PythonProcess:
        """Starts a worker; `settings` win over the service's own."""
        self.num_workers += 1
        options: dict[str, object] = {
            "worker_id": f"worker-{self.num_workers}",
            "models": (str(self.weights),),
            "checkpoint_folder": self.checkpoints,
            "lease_seconds": 2.0,
            "heartbeat_seconds": 0.1,
            "slice_steps": 5,
        }
        worker = WorkerSettings.model_validate({**options, **self.worker_settings, **settings})
        return self._start(f"worker-{self.num_workers}", {"worker": worker}, command="worker")

    def _start(
        self, name: str, sections: dict[str, Section], command: str | None = None
    ) -> PythonProcess:
        shared: dict[str, Section] = {
            "redis": RedisSettings(url=self.redis_url, memory_folder=self.folder / "memory"),
            "triton": TritonSettings(grpc_url=self.triton_url),
            "storage": StorageSettings(url=self.storage_url or str(self.folder / "objects")),
        }
        settings = self.folder / f"{name}.toml"
        settings.write_text(to_toml(shared | sections))
        process = PythonProcess(command or name, settings=settings, log=self.folder / f"{name}.log")
        process.start()
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Stops what still runs."""
        for process in self.processes:
            process.stop()


ServiceMaker = Callable[[str], Service]


@pytest.fixture
def make_service(redis_url: str, weights: Path, tmp_path: Path) -> Iterator[ServiceMaker]:
    """Makes services on a Triton server of a given address; all are stopped at the end."""
    made: list[Service] = []

    def make(triton_url: str) -> Service:
        folder = tmp_path / f"service-{len(made)}"
        folder.mkdir()
        service = Service(folder, redis_url, triton_url, weights)
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()


@pytest.fixture
def service(make_service: ServiceMaker, triton_server: TritonServer) -> Service:
    """A service on the shared Triton server."""
    return make_service(triton_server.grpc_url)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    """A client of the service's own gateway."""
    async with await service.start_gateway() as connected:
        yield connected


@pytest.fixture
def own_triton(triton_repository: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """A Triton server that the test may stop and start."""
    config = TritonServerConfig.on_free_ports(triton_repository, tmp_path / "triton.log")
    server = TritonServer(config)
    yield server
    server.stop()
