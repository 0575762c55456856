import subprocess
import sys

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
