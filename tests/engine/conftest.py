"""Small models with random weights: the real architecture, quick to run."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.denoise import Conditioning
from telecine.engine.dit.model import DiT, DiTConfig
from telecine.engine.vae.causal_vae import CausalVAE, CausalVAEConfig


def _open_gates(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.ndim == 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.05)


@pytest.fixture(scope="session")
def open_gates() -> Callable[[nn.Module], None]:
    """Gives what training begins with zeros other numbers, so that it takes part."""
    return _open_gates


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _dit(audio: AudioStreamConfig | None = None) -> DiT:
    torch.manual_seed(0)
    config = DiTConfig(
        in_channels=4,
        width=32,
        num_blocks=2,
        num_heads=2,
        prompt_width=16,
        pooled_width=16,
        audio=audio,
    )
    model = DiT(config)
    _open_gates(model)
    return model.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="session")
def dit() -> DiT:
    return _dit()


@pytest.fixture(scope="session")
def joint_dit() -> DiT:
    """One with sound, whose picture hears it."""
    return _dit(AudioStreamConfig(in_channels=6, width=16, num_heads=2, window_frames=12.0))


@pytest.fixture(scope="session")
def vae() -> CausalVAE:
    torch.manual_seed(0)
    config = CausalVAEConfig(
        latent_channels=4,
        inner_channels=16,
        outer_channels=24,
        head_channels=32,
        latents_mean=(0.1, -0.2, 0.3, 0.0),
        latents_std=(0.5, 1.5, 1.0, 2.0),
    )
    model = CausalVAE(config)
    _open_gates(model)
    return model.eval().requires_grad_(requires_grad=False)


def _conditioning(seed: int) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    return {
        "prompt_embeds": torch.randn(1, 6, 16, generator=generator),
        "pooled_prompt_embeds": torch.randn(1, 16, generator=generator),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0]]),
    }


@pytest.fixture
def prompt() -> Conditioning:
    return _conditioning(1)


@pytest.fixture
def negative_prompt() -> Conditioning:
    return _conditioning(2)
