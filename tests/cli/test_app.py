import subprocess
import sys
from pathlib import Path

from gateway_process import GatewayProcess


def test_a_refusal_is_one_line_with_its_reason(gateway: GatewayProcess) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "telecine.cli", "get", "nothing", "--server", gateway.address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert "NOT_FOUND" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_what_the_system_refuses_is_one_line(gateway: GatewayProcess) -> None:
    command = [sys.executable, "-m", "telecine.cli", "models", "--server", gateway.address]
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert finished.returncode == 1
    assert finished.stderr.decode().splitlines() == ["error: [Errno 28] No space left on device"]


def test_commands_load_nothing_that_only_a_service_needs() -> None:
    program = "import sys, telecine.cli.app; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    heavy = {"torch", "transformers", "numpy", "tritonclient", "redis", "fastapi", "pydantic"}
    assert "telecine.cli.generate" in loaded
    assert heavy.isdisjoint(loaded)
