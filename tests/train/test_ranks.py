"""Two processes train as one would on the batches of both."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

SCRIPTS = Path(__file__).parents[2] / "scripts"
STEPS = 6
SCRIPT = f"""
import sys
from pathlib import Path

import torch
from torch import nn

from train import ranks
from train.loop import Plan, Trainer

folder, num_steps, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1))
unused = nn.Parameter(torch.ones(3))
module.register_parameter("unused", unused)

def loss_of_step(step):
    if step == num_steps:
        raise SystemExit
    inputs = torch.randn({STEPS}, 16, 4, generator=torch.Generator().manual_seed(1))[step]
    inputs = inputs[batch * ranks.rank() : batch * (ranks.rank() + 1)]
    loss = (module(inputs) - inputs.sum(1, keepdim=True)).square().mean()
    return loss, {{"loss": loss.item()}}

with ranks.joined():
    trainer = Trainer(module, folder / "state.pt", Plan({STEPS}, save_every=2))
    trainer.resume()
    trainer.run(loss_of_step, after_save=lambda: None)
    torch.save(module.state_dict(), folder / f"weights{{ranks.rank()}}.pt")
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks") / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def both(script: Path) -> Path:
    """The folder of a whole run of two ranks."""
    folder = script.parent / "both"
    run(script, folder, num_ranks=2)
    return folder


def run(script: Path, folder: Path, *, num_ranks: int, num_steps: int = STEPS) -> None:
    folder.mkdir(exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}"]
    launched = torchrun if num_ranks > 1 else []
    command = [sys.executable, *launched, str(script), str(folder), str(num_steps)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(16 // num_ranks)], check=True, timeout=120, env=environment)


def weights(folder: Path, rank: int = 0) -> dict[str, Tensor]:
    return torch.load(folder / f"weights{rank}.pt", weights_only=True)


def test_two_ranks_take_the_steps_of_one_with_both_batches(script: Path, both: Path) -> None:
    run(script, script.parent / "alone", num_ranks=1)
    first, second = weights(both), weights(both, rank=1)
    for name, value in weights(script.parent / "alone").items():
        torch.testing.assert_close(first[name], value, rtol=1e-2, atol=1e-3)
        assert torch.equal(first[name], second[name])


def test_what_two_ranks_began_one_can_finish(script: Path, both: Path) -> None:
    folder = script.parent / "cut"
    run(script, folder, num_ranks=2, num_steps=4)
    run(script, folder, num_ranks=1)
    whole = weights(both)
    for name, value in weights(folder).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-2, atol=1e-3)
