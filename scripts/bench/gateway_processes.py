"""The processes that gateway.py measures: a real Redis, a gateway, and a bare grpc.aio server."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from telecine.jobs.redis_server import RedisServer

MAX_QUEUED = 10_000
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Processes:
    """What runs, and where."""

    redis_url: str
    gateway_address: str
    gateway_http_address: str
    gateway_pid: int
    bare_address: str

    def gateway_memory_mib(self) -> float:
        """Returns the gateway's resident memory."""
        status = Path(f"/proc/{self.gateway_pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024


@contextmanager
def running_processes(*, num_events: int) -> Iterator[Processes]:
    """Starts all three in a temporary folder and stops them after the block."""
    with (
        tempfile.TemporaryDirectory(prefix="telecine-bench-") as name,
        RedisServer(Path(name) / "redis") as redis,
    ):
        folder = Path(name)
        settings = folder / "telecine.toml"
        settings.write_text(
            f'[gateway]\naddress_file = "{folder / "gateway"}"\n'
            f'http_address_file = "{folder / "http"}"\n'
            f'[redis]\nurl = "{redis.url}"\n'
            f'[storage]\nurl = "{folder / "objects"}"\n'
            f"[queue]\nmax_queued = {MAX_QUEUED}\nmax_queued_per_tenant = {MAX_QUEUED}\n"
        )
        gateway = [sys.executable, "-m", "telecine.cli", "gateway", "--settings", str(settings)]
        script = Path(__file__).with_name("bare_grpc_server.py")
        bare = [sys.executable, str(script), str(folder / "bare"), str(num_events)]
        with (
            running_process(gateway, folder / "gateway") as (gateway_address, gateway_pid),
            running_process(bare, folder / "bare") as (bare_address, _),
        ):
            http_address = (folder / "http").read_text().strip()
            yield Processes(redis.url, gateway_address, http_address, gateway_pid, bare_address)


@contextmanager
def running_process(command: Sequence[str], address_file: Path) -> Iterator[tuple[str, int]]:
    """Runs a process; yields the address that it writes to the file, and its id."""
    log = address_file.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ)
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not address_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start: {log.read_text()}")
            time.sleep(0.05)
        yield address_file.read_text().strip(), process.pid
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)
