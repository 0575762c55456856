"""A real Redis for simulations: nothing on disk, a Unix socket, made to restart in one call."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import hiredis
import redis

from telecine.jobs.redis_server import find_redis_binary

_START_SECONDS = 30.0


class SimulatedRedis:
    """A redis-server of our own; `client` speaks to it over its socket."""

    def __init__(self, binary: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="telecine-simulation-"))
        self._binary = binary or find_redis_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Any = None
        # No time-out: on a machine that is very busy an answer may take its time.
        self.client: Any = redis.Redis(
            unix_socket_path=str(self._socket), protocol=2, socket_timeout=None
        )

    @property
    def _socket(self) -> Path:
        return self._folder / "redis.sock"

    def __enter__(self) -> Self:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
            "enable-debug-command": "local",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([str(self._binary), *flags], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def exchange(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Sends commands in one go and returns their answers, errors among them.

        Two processes that take turns wait for the kernel most of the time.
        """
        if self._connection is None:
            self._connection = self.client.connection_pool.get_connection()
        packed = b"".join(hiredis.pack_command(command) for command in commands)
        self._connection.send_packed_command([packed])
        return [self._read_answer() for _ in commands]

    def _read_answer(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            return error

    def empty(self) -> None:
        """Forgets all keys; functions stay."""
        self.client.flushall()

    def restart(self) -> None:
        """Leaves what a restart leaves: the data as read back from disk, and no functions.

        Through Redis' own save and load, which take a millisecond where a process takes fifty.
        """
        self.client.execute_command("DEBUG", "RELOAD")
        self.client.execute_command("FUNCTION", "FLUSH")
