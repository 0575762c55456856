"""Kills and pauses over all processes, as scripts/bench/chaos.py makes them."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench" / "chaos.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixty_faults_lose_double_and_change_no_video(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--kills", "60", "--seed", "1", "--keep", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
