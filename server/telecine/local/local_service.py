"""Redis, the Triton server, a worker and a gateway, started, watched and stopped as one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic_settings import SettingsError

from telecine.client import Client, TelecineClientError
from telecine.config import load_settings
from telecine.errors import TelecineError
from telecine.free_ports import LOCAL_HOST
from telecine.inference.shared_memory import remove_leftovers
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.jobs.redis_server import RedisServer
from telecine.local.data_folder import DataFolder, Ports
from telecine.local.disk_guard import DiskGuard
from telecine.local.model_sources import link_sources
from telecine.local.operator_key import keep_local_key
from telecine.local.orphans import end_orphans, note_processes
from telecine.local.python_process import PythonProcess
from telecine.local.settings_file import write_settings
from telecine.local.stop_signals import StopSignals
from telecine.local.watcher import Watcher
from telecine.v1 import model_pb2

MODELS_SECONDS = 180.0
SERVING_SECONDS = 60.0
POLL_SECONDS = 0.2

Report = Callable[[str], None]


class StartError(Exception):
    """A part of the service did not come up; the message says which and why."""


class Server(Protocol):
    """What is asked of each of the four processes."""

    @property
    def pid(self) -> int | None:
        """The process's id, None while it does not run."""

    def stop(self) -> None:
        """End it and wait until it is gone."""


@dataclass(frozen=True)
class LocalOptions:
    """How a service on this machine is set up.

    Attributes:
        gateway_port: the gateway's port; None for the last one, or a free one.
        http_port: the same for its HTTP edge.
        num_threads: threads of each model's process.
    """

    model_repository: Path
    gateway_port: int | None = None
    http_port: int | None = None
    num_threads: int = 1


class LocalService:
    """All processes of one data folder; made by `local_service`."""

    def __init__(
        self, folder: DataFolder, ports: Ports, options: LocalOptions, *, report: Report
    ) -> None:
        self.ports = ports
        self._folder = folder
        self._model_repository = options.model_repository
        self._report = report
        self._noted: dict[str, int] = {}
        self._redis = RedisServer(folder.redis, port=ports.redis)
        self._triton = TritonServer(
            TritonServerConfig(
                model_repository=options.model_repository,
                log_file=folder.log("triton"),
                grpc_port=ports.triton_grpc,
                http_port=ports.triton_http,
                metrics_port=ports.triton_metrics,
                added_repository=folder.added_repository,
                num_threads=options.num_threads,
            )
        )
        self._worker, self._gateway = (
            PythonProcess(name, settings=folder.settings, log=folder.log(name))
            for name in ("worker", "gateway")
        )
        # In the order of their ends: a worker hands its video back before Redis goes.
        self._servers: dict[str, Server] = {
            "worker": self._worker,
            "gateway": self._gateway,
            "triton": self._triton,
            "redis": self._redis,
        }
        self._starts: dict[str, Callable[[], None]] = {
            "triton": self._launch_triton,
            "redis": self._redis.start,
            "worker": self._worker.start,
            "gateway": self._gateway.start,
        }
        disk_guard = DiskGuard(self._redis, report)
        self._watcher = Watcher(
            (self._end_hung_triton, self._restart_ended, self._note_processes, disk_guard.check),
            report,
        )

    @property
    def address(self) -> str:
        """Where clients reach the gateway."""
        return f"{LOCAL_HOST}:{self.ports.gateway}"

    @property
    def http_url(self) -> str:
        """Where the gateway's HTTP edge is."""
        return f"http://{LOCAL_HOST}:{self.ports.http}"

    @property
    def triton_url(self) -> str:
        """Where tritonclient reaches the model server."""
        return self._triton.grpc_url

    @property
    def redis_url(self) -> str:
        """Where Redis clients reach the store."""
        return self._redis.url

    def start(self, signals: StopSignals) -> None:
        """Start everything and return when a video can be made.

        Raises:
            StartError: the settings do not fit, or a part ended or did not come up in time.
        """
        self._folder.added_repository.mkdir(exist_ok=True)
        link_sources(self._folder.added_repository, self._model_repository)
        write_settings(self._folder, self.ports)
        self._check_settings()
        remove_leftovers()
        with signals.deferred():
            for start in self._starts.values():
                start()
            self._note_processes()
            # A stop that came out of the middle of an event loop would not come through.
            keep_local_key(self._folder.api_key, self._redis.url)
        self._report("waiting for the models")
        self._triton.wait_until_ready(MODELS_SECONDS)
        for name, reason in self._triton.failures().items():
            self._report(f"{name} does not load: {reason.splitlines()[0]}")
        self._wait_until_serving()
        self._watcher.start()

    def stop(self) -> None:
        """Stop everything; nothing of it is left when this returns."""
        self._watcher.stop()
        for server in self._servers.values():
            server.stop()
        self._folder.processes.unlink(missing_ok=True)

    def _check_settings(self) -> None:
        """Refuse what the environment adds before anything is started with it."""
        try:
            load_settings(self._folder.settings)
        except SettingsError as error:
            raise StartError(str(error)) from error

    def _launch_triton(self) -> None:
        # A server that died alone has left its models' processes behind.
        self._triton.kill()
        self._triton.launch()

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + SERVING_SECONDS
        key = self._folder.api_key.read_text().strip()
        with Client(self.address, api_key=key, timeout_seconds=2.0) as client:
            while not _has_ready_model(client):
                for process in (self._gateway, self._worker):
                    if not process.is_running:
                        raise StartError(f"{process.log.stem} ended: {process.last_log_lines()}")
                if time.monotonic() > deadline:
                    raise StartError(f"no model is ready; see {self._worker.log}")
                time.sleep(POLL_SECONDS)

    def _end_hung_triton(self) -> None:
        if self._triton.end_if_crashed():
            self._report("triton has crashed and hung")

    def _restart_ended(self) -> None:
        for name, server in self._servers.items():
            if server.pid is None:
                self._report(f"{name} has ended and is started again")
                self._restart(name)

    def _restart(self, name: str) -> None:
        try:
            self._starts[name]()
        except (TelecineError, OSError) as error:  # the next round tries again
            self._report(f"{name} does not start: {error}")

    def _note_processes(self) -> None:
        process_ids = {name: server.pid for name, server in self._servers.items()}
        running = {name: pid for name, pid in process_ids.items() if pid is not None}
        if running != self._noted:
            note_processes(self._folder.processes, running)
            self._noted = running


@contextmanager
def local_service(
    folder: DataFolder, options: LocalOptions, *, signals: StopSignals, report: Report
) -> Iterator[LocalService]:
    """Run a service while the block lasts.

    Raises:
        AlreadyRunningError: one runs on this folder.
        StartError: a part did not come up.
        OSError: the gateway's port is taken.
    """
    with folder.locked():
        for name in end_orphans(folder.processes):
            report(f"ended {name}, left behind by an earlier run")
        ports = folder.choose_ports(options.gateway_port, options.http_port)
        service = LocalService(folder, ports, options, report=report)
        try:
            service.start(signals)
            yield service
        finally:
            with signals.deferred():
                service.stop()


def _has_ready_model(client: Client) -> bool:
    try:
        return any(model.state == model_pb2.Model.STATE_READY for model in client.list_models())
    except TelecineClientError:
        return False
