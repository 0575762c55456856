"""The folder that holds everything of a one-machine service, so that it outlives restarts."""

import fcntl
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from telecine.client.credentials import ADDRESS_FILE, API_KEY_FILE
from telecine.free_ports import LOCAL_HOST, free_port


class AlreadyRunningError(Exception):
    """Another `telecine up` works on this folder."""


@dataclass(frozen=True)
class Ports:
    """The ports of one service, all on 127.0.0.1."""

    gateway: int
    http: int
    redis: int
    triton_grpc: int
    triton_http: int
    triton_metrics: int


@dataclass(frozen=True)
class DataFolder:
    """Where the parts of a service keep what is theirs."""

    root: Path

    @property
    def redis(self) -> Path:
        """Jobs and events."""
        return self.root / "redis"

    @property
    def objects(self) -> Path:
        """Finished videos and uploads."""
        return self.root / "objects"

    @property
    def checkpoints(self) -> Path:
        """States of videos under way."""
        return self.root / "checkpoints"

    @property
    def memory(self) -> Path:
        """What the processes remember of Redis, to find out one that lost writes."""
        return self.root / "memory"

    @property
    def added_models(self) -> Path:
        """What `telecine models add` has added."""
        return self.root / "models"

    @property
    def added_repository(self) -> Path:
        """What Triton needs of the added models."""
        return self.root / "triton"

    @property
    def settings(self) -> Path:
        """What the gateway and the worker are told."""
        return self.root / "telecine.toml"

    @property
    def address(self) -> Path:
        """Holds the gateway's `host:port` once it has been up."""
        return self.root / ADDRESS_FILE

    @property
    def api_key(self) -> Path:
        """Holds the key of this machine's operator, for nobody else's eyes."""
        return self.root / API_KEY_FILE

    @property
    def processes(self) -> Path:
        """Names the processes that run, to find those that a crash left behind."""
        return self.root / "processes.json"

    def log(self, name: str) -> Path:
        """Where one process's output goes."""
        return self.root / "logs" / f"{name}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the folder; the lock ends with this process, however it ends.

        Raises:
            AlreadyRunningError: another process owns it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(f"another telecine runs in {self.root}") from None
            yield

    def choose_ports(self, gateway_port: int | None = None, http_port: int | None = None) -> Ports:
        """Return the ports of the last time where they are still free, and note them down.

        Raises:
            OSError: a port was asked for and is taken.
        """
        path = self.root / "ports.json"
        known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        asked = {"gateway": gateway_port, "http": http_port}
        required = {name: port for name, port in asked.items() if port is not None}
        known.update(required)
        with ExitStack() as held:
            sockets = {
                field.name: held.enter_context(
                    _listen(
                        known.get(field.name) or free_port(),
                        is_required=field.name in required,
                    )
                )
                for field in fields(Ports)
            }
            ports = Ports(**{name: sock.getsockname()[1] for name, sock in sockets.items()})
        path.write_text(json.dumps(asdict(ports), indent=2))
        return ports


def _listen(port: int, *, is_required: bool) -> socket.socket:
    listener = socket.socket()
    # As the servers do: a port whose last connections are still closing counts as free.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOCAL_HOST, port))
    except OSError as error:
        if is_required:
            listener.close()
            raise OSError(error.errno, f"port {port}: {error.strerror}") from error
        listener.bind((LOCAL_HOST, free_port()))
    return listener
