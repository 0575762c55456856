import os
import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    "command", [("gateway",), ("worker",), ("keys", "bootstrap")], ids=["gateway", "worker", "keys"]
)
def test_settings_that_do_not_fit_are_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    settings = tmp_path / "telecine.toml"
    settings.write_text('[gateway]\nport = "first"\n')
    finished = subprocess.run(
        [sys.executable, "-m", "telecine.cli", *command, "--settings", str(settings)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: gateway.port: ")
    assert len(finished.stderr.splitlines()) == 1


def test_what_up_cannot_start_with_is_told_before_anything_is_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "telecine.cli", "up", "--data-dir", str(tmp_path / "data")]
    environment = {**os.environ, "TELECINE_QUOTA__MAX_OPEN_VIDEOS": "many"}
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert finished.returncode == 1
    assert "quota.max_open_videos" in finished.stderr
    assert "waiting" not in finished.stderr
    absent = subprocess.run(
        [*command, "--model-repository", str(tmp_path / "absent")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert absent.returncode == 2
    assert "--model-repository" in absent.stderr
