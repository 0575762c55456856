"""Groups of real processes on this machine's CPU, each run once for all tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from small_denoisers import CASES, RESUMED, denoise, make_denoiser

from telecine.engine.parallel.layout import ParallelConfig
from telecine.free_ports import free_port

RunGroup = Callable[[ParallelConfig], Mapping[str, Any]]
_PROGRAM = Path(__file__).parents[2] / "fixtures" / "rank_program.py"
_SECONDS = 150
FIRST = ParallelConfig(guidance_parallel_size=2)
"""The layout whose checkpoints all others go on from; it goes on from one process's."""


def _start_rank(
    rank: int, port: int, folder: Path, config: ParallelConfig
) -> subprocess.Popen[str]:
    sizes = (
        config.tensor_parallel_size,
        config.sequence_parallel_size,
        config.guidance_parallel_size,
    )
    variables = {
        "RANK": rank,
        "WORLD_SIZE": config.num_ranks,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
        "GLOO_SOCKET_IFNAME": "lo",
    }
    return subprocess.Popen(
        [sys.executable, _PROGRAM, folder, *map(str, sizes)],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="session")
def run_group(tmp_path_factory: pytest.TempPathFactory) -> RunGroup:
    """Runs every case in a group of that layout and returns what its first rank has found."""

    def halves_for(config: ParallelConfig) -> dict[str, bytes]:
        if config != FIRST:
            return {name: run(FIRST)[f"half of {name}"] for name in RESUMED}
        return {
            name: denoise(make_denoiser(CASES[name].family), CASES[name], num_steps=1).to_bytes()
            for name in RESUMED
        }

    @cache
    def run(config: ParallelConfig) -> Mapping[str, Any]:
        folder = tmp_path_factory.mktemp("group")
        for name, half in halves_for(config).items():
            (folder / f"half of {name}").write_bytes(half)
        port = free_port()
        ranks = [_start_rank(rank, port, folder, config) for rank in range(config.num_ranks)]
        try:
            errors = [rank.communicate(timeout=_SECONDS)[1] for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
        assert [rank.returncode for rank in ranks] == [0] * len(ranks), errors
        found: dict[str, Any] = torch.load(folder / "found.pt")
        return found

    return run
