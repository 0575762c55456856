"""The real Triton server as a child process: start, wait until ready, stop, restart."""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import structlog

from telecine.errors import ModelServerUnavailableError
from telecine.free_ports import LOCAL_HOST, free_ports
from telecine.inference.shared_memory import SERVER_PREFIX, remove_leftovers, remove_regions
from telecine.inference.triton_installation import find_triton

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0
_REASON_CHARS = 2000
_LAST_LINES = 10
# Once in thousands of starts it crashes before it serves, and serves at the next.
_MAX_STARTS = 3
# What Triton logs when it crashes; it may then hang while it writes down where.
_CRASH = re.compile(rb"Signal \((4|6|7|8|11)\) received")


@dataclass(frozen=True)
class TritonServerConfig:
    """How one Triton server runs.

    Attributes:
        added_repository: a second repository, whose models come and go while it runs.
        num_threads: OpenMP threads of each model's process.
        exit_timeout_seconds: how long a stopping server waits for its models.
        loads_models: whether it loads every model at its start; else none.
        cache_folder: where the server's backend is assembled; inside the virtual
            environment if not given.
    """

    model_repository: Path
    log_file: Path
    grpc_port: int
    http_port: int
    metrics_port: int
    added_repository: Path | None = None
    num_threads: int = 1
    exit_timeout_seconds: int = 3
    loads_models: bool = True
    cache_folder: Path | None = None

    @classmethod
    def on_free_ports(cls, model_repository: Path, log_file: Path, **options: Any) -> Self:
        """Choose three ports that are free now."""
        grpc_port, http_port, metrics_port = free_ports(3)
        return cls(
            model_repository=model_repository,
            log_file=log_file,
            grpc_port=grpc_port,
            http_port=http_port,
            metrics_port=metrics_port,
            **options,
        )


class TritonServer:
    """One Triton server; a context manager that starts and stops it.

    It runs with explicit model control: only that mode lets `TritonClient.repair` load a
    model whose process died. A model that does not load leaves the others served.
    """

    def __init__(self, config: TritonServerConfig) -> None:
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._log_checked = 0
        self._num_starts = 0
        self.region_prefix = f"{SERVER_PREFIX}{os.getpid()}_{secrets.token_hex(4)}_"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def grpc_url(self) -> str:
        """Where clients reach the server."""
        return f"{LOCAL_HOST}:{self.config.grpc_port}"

    @property
    def pid(self) -> int | None:
        """The server's process id, None where none runs."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, ready_timeout_seconds: float = 120.0) -> None:
        """Start the server and wait until all its models are loaded that can be.

        Raises:
            ModelServerUnavailableError: it ended three times or did not become ready in
            time; the message ends with what it logged as errors.
        """
        self.launch()
        self.wait_until_ready(ready_timeout_seconds)

    def launch(self) -> None:
        """Start the process without waiting for its models."""
        if self.is_running:
            raise ValueError("this Triton server runs already")
        self._num_starts = 0
        self._start_process()

    def _start_process(self) -> None:
        self._num_starts += 1
        remove_leftovers()
        installation = find_triton(self.config.cache_folder)
        command = installation.command(self._arguments(), num_threads=self.config.num_threads)
        self.config.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.config.log_file.open("ab") as log:
            self._log_start = self._log_checked = log.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the parent alone, which stops the server in its own time.
                start_new_session=True,
            )

    def wait_until_ready(self, timeout_seconds: float) -> None:
        """Block until it has tried to load every model; errors as of `start`.

        A server that ends before is started again.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if not self.is_running:
                self._start_again()
            if time.monotonic() > deadline:
                self.kill()
                raise ModelServerUnavailableError(
                    f"Triton was not ready after {timeout_seconds:.0f} s: {self._logged_errors()}"
                )
            time.sleep(_POLL_SECONDS)
        if self.config.loads_models and not self._has_whole_model():
            self.kill()
            raise ModelServerUnavailableError(f"Triton loads no model: {self._logged_errors()}")

    def _start_again(self) -> None:
        """Start a server that ended before it was ready, unless it always does."""
        status = None if self._process is None else self._process.returncode
        ended = f"Triton ended with status {status}: {self._logged_errors()}"
        if self._process is None or self._num_starts >= _MAX_STARTS:
            raise ModelServerUnavailableError(ended)
        last_lines = "".join(self._logged_lines()[-_LAST_LINES:])
        _log.warning("triton_ended_at_start", status=status, log=last_lines)
        self.kill()
        self._start_process()

    def failures(self) -> dict[str, str]:
        """Return why models could not be loaded, by their names, where Triton has tried."""
        index = self._read_index()
        return {entry["name"]: entry["reason"] for entry in index if _has_failed(entry)}

    def is_ready(self) -> bool:
        """Ask the server's own health check."""
        url = f"http://{LOCAL_HOST}:{self.config.http_port}/v2/health/ready"
        try:
            with urllib.request.urlopen(url, timeout=1.0) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End the server and its models' processes, and remove their shared memory."""
        if self._process is not None and self.is_running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.config.exit_timeout_seconds + 10)
        self.kill()

    def kill(self) -> None:
        """End everything at once, the way a crash would, and remove the shared memory."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._wait_for_models(self._process.pid)
        self._process = None
        remove_regions(self.region_prefix)

    def end_if_crashed(self) -> bool:
        """End a server that has crashed and hangs, though its ports still answer.

        Returns whether it had: a model's process that dies at the wrong moment takes a lock
        along, on which Triton aborts.
        """
        if not self.is_running:
            return False
        with self.config.log_file.open("rb") as log:
            log.seek(self._log_checked)
            text = log.read()
        self._log_checked += text.rfind(b"\n") + 1
        if _CRASH.search(text) is None:
            return False
        self.kill()
        return True

    def restart(self) -> None:
        """Stop and start again, on the same ports."""
        self.stop()
        self.start()

    def _wait_for_models(self, group: int) -> None:
        """Wait until the models' processes, no longer anyone's children, are gone too."""
        deadline = time.monotonic() + _KILL_SECONDS
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(_POLL_SECONDS)

    def _arguments(self) -> list[str]:
        config = self.config
        repositories = (config.model_repository, config.added_repository)
        return [
            *(f"--model-repository={folder}" for folder in repositories if folder),
            "--model-control-mode=explicit",
            *(["--load-model=*"] if config.loads_models else []),
            # One bad model costs the others nothing: it is reported when it is to be used.
            "--exit-on-error=false",
            "--strict-readiness=false",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={config.exit_timeout_seconds}",
            f"--grpc-address={LOCAL_HOST}",
            f"--http-address={LOCAL_HOST}",
            f"--metrics-address={LOCAL_HOST}",
            f"--grpc-port={config.grpc_port}",
            f"--http-port={config.http_port}",
            f"--metrics-port={config.metrics_port}",
            f"--backend-config=python,shm-region-prefix-name={self.region_prefix}",
        ]

    def _has_whole_model(self) -> bool:
        """Whether there is a model all of whose roles are loaded."""
        states: dict[str, set[str]] = {}
        for entry in self._read_index():
            states.setdefault(entry["name"].partition("__")[0], set()).add(entry.get("state", ""))
        return {"READY"} in states.values()

    def _read_index(self) -> list[dict[str, str]]:
        url = f"http://{LOCAL_HOST}:{self.config.http_port}/v2/repository/index"
        request = urllib.request.Request(url, data=b"{}", method="POST")
        with urllib.request.urlopen(request, timeout=10.0) as response:
            index: list[dict[str, str]] = json.load(response)
        return index

    def _logged_errors(self) -> str:
        """What this start has logged as an error, cut to a readable length."""
        errors = [line for line in self._logged_lines() if line.startswith(("E", "error"))]
        return f"{self.config.log_file}: " + "".join(errors)[-_REASON_CHARS:]

    def _logged_lines(self) -> list[str]:
        with self.config.log_file.open(errors="replace") as log:
            log.seek(self._log_start)
            return log.readlines()


def _has_failed(entry: dict[str, str]) -> bool:
    return entry.get("state") == "UNAVAILABLE" and entry.get("reason") != "unloaded"
