"""A small network of the built-in family, which takes adapters by the names of its own layers."""

from pathlib import Path

import pytest
import torch
from torch import nn

from telecine.engine.dit.model import DiT, DiTConfig


@pytest.fixture(scope="session")
def dit() -> DiT:
    torch.manual_seed(0)
    config = DiTConfig(
        in_channels=4, width=32, num_blocks=2, num_heads=2, prompt_width=16, pooled_width=16
    )
    model = DiT(config)
    for parameter in model.parameters():
        if parameter.ndim == 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return model.eval().requires_grad_(requires_grad=False)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "loras").mkdir()
    return tmp_path
