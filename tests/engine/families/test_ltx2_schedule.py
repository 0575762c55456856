"""LTX-2's noise levels are those of diffusers, and go on where those are no longer apart."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift
from tiny_ltx2 import write_tiny_ltx2

from telecine.engine.families.ltx2 import LTX2Family
from telecine.engine.ltx2.schedule import noise_levels
from telecine.engine.samplers import SAMPLERS, StepPlace

NUM_STEPS = 30
ORDINARY = ((121, 768, 512), (97, 512, 768), (121, 1280, 704), (241, 768, 512))
LONG = ((361, 1920, 1088), (441, 1920, 1088), (481, 1920, 1088))


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> LTX2Family:
    """Its scheduler is the published one."""
    folder: Path = tmp_path_factory.mktemp("tiny_ltx2")
    write_tiny_ltx2(folder)
    return LTX2Family(folder)


def latents_shape(num_frames: int, width: int, height: int) -> tuple[int, ...]:
    """Of the published VAE, whose latents are larger parts of a video than the small one's."""
    return 1, 128, (num_frames - 1) // 8 + 1, height // 32, width // 32


@pytest.mark.parametrize("size", ORDINARY)
@pytest.mark.parametrize("num_steps", [1, 4, NUM_STEPS])
def test_levels_of_ordinary_sizes_are_those_of_diffusers(
    family: LTX2Family, size: tuple[int, int, int], num_steps: int
) -> None:
    shape = latents_shape(*size)
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(family._folder / "scheduler")
    config = scheduler.config
    names = "base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift"
    mu = calculate_shift(int(np.prod(shape[2:])), *(config[name] for name in names))
    # In twice its precision, so that what differs is not its rounding.
    levels = torch.linspace(1.0, 1.0 / num_steps, num_steps, dtype=torch.float64)
    levels = scheduler.time_shift(mu, 1.0, levels)
    if num_steps > 1:
        levels = scheduler.stretch_shift_to_terminal(levels)
    ours = noise_levels(config, num_steps, num_tokens=int(np.prod(shape[2:])))
    torch.testing.assert_close(
        torch.tensor(ours, dtype=torch.float64), levels, atol=1e-12, rtol=0.0
    )


@pytest.mark.parametrize("size", LONG)
@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_levels_of_the_longest_videos_fall_with_every_step(
    family: LTX2Family, size: tuple[int, int, int], sampler: str
) -> None:
    levels = family.sigmas(sampler, NUM_STEPS, latents_shape(*size))
    assert levels[0] == 1.0
    assert levels[-2:] == (pytest.approx(0.1), 0.0)
    assert all(level > following for level, following in pairwise(levels))


@pytest.mark.parametrize("size", LONG)
def test_unipc_ends_the_longest_videos(family: LTX2Family, size: tuple[int, int, int]) -> None:
    levels = family.sigmas("unipc", NUM_STEPS, latents_shape(*size))
    clean, latents = torch.zeros(1), torch.ones(1)
    state: dict[str, torch.Tensor] = {}
    for sigma, next_sigma in pairwise(levels):
        at = StepPlace(sigma, next_sigma, lambda: torch.zeros(1), state)
        # A network that knows the clean values.
        step = SAMPLERS["unipc"].step(lambda noisy, level: (noisy - clean) / level, latents, at)
        latents, state = step.latents, step.sampler_state
    torch.testing.assert_close(latents, clean)
