"""How a leader ends that no error reaches; the rest of a group's life: test_served_ranks.py."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "fixtures" / "stuck_leader.py"


@pytest.mark.slow
def test_leader_that_hangs_in_a_step_after_a_loss_ends_itself(random_weights: Path) -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, random_weights],
        capture_output=True,
        text=True,
        check=False,
        timeout=100.0,
    )
    assert ended.returncode == 1
    # Of the other rank; the leader itself has nothing to say.
    assert "[rank1]: KeyError" in ended.stderr
    assert "[rank0]" not in ended.stderr
