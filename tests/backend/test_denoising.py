"""A slice in one process, and what of it goes to others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_mochi
import torch
from safetensors.torch import save_file
from torch import Tensor

from telecine.backend.denoising import Denoising, DenoisingConfig, Slice
from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import FROM_NOISE, ClipStart
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

CPU = torch.device("cpu")
LAYER = "time_embed.caption_proj"
"""It reads the prompt, once for all slices of a job."""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    tiny_mochi.write_tiny_mochi(tmp_path)
    (tmp_path / "loras").mkdir()
    return tmp_path


def write_lora(weights: Path, denoising: Denoising, seed: int) -> None:
    layer = denoising._networks["transformer"].get_submodule(LAYER)
    assert isinstance(layer, torch.nn.Linear)
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(2, layer.in_features, generator=generator)
    up = torch.randn(layer.out_features, 2, generator=generator)
    name = f"transformer.{LAYER}"
    path = weights / "loras" / "it.safetensors"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, path)
    os.utime(path, ns=(seed, seed))


def asked_of(weights: Path) -> Slice:
    family = load_family(str(weights))
    request = SamplingRequest(
        seed=3, num_inference_steps=1, guidance_scale=4.0, sampler="euler", attention="full"
    )
    size = VideoSize(num_frames=7, height=32, width=48, fps=30)
    config = sampling_config(family, size, request._replace(loras=(LoraUse("it", 1.0),)))
    encode = PromptEncoder(family).encode
    return Slice(
        encode("a red circle"),
        encode("blurry"),
        config,
        state=b"",
        num_steps=1,
        preview_steps=frozenset(),
    )


def latents_of(denoising: Denoising, asked: Slice) -> Tensor:
    *_, last = denoising.steps(asked, denoising.start(asked))
    return last.state.latents


def test_nothing_is_kept_of_what_an_adapter_s_file_was_before(weights: Path) -> None:
    denoising, asked = Denoising(DenoisingConfig(str(weights)), CPU), asked_of(weights)
    write_lora(weights, denoising, seed=1)
    before = latents_of(denoising, asked)
    write_lora(weights, denoising, seed=2)
    after = latents_of(denoising, asked)
    fresh = latents_of(Denoising(DenoisingConfig(str(weights)), CPU), asked)
    assert not torch.equal(before, fresh)
    assert torch.equal(after, fresh)


def test_other_ranks_are_not_told_what_a_video_is_made_from(weights: Path) -> None:
    asked = asked_of(weights)
    config = replace(asked.config, loras=())
    source = torch.ones(config.latents_shape)
    changed = replace(asked, config=config, start=ClipStart(source=source))
    denoising = Denoising(DenoisingConfig(str(weights)), CPU)
    state = denoising.start(changed)
    told = changed.told(state)
    assert told.start == FROM_NOISE
    # A rank begins where the leader does, all the same.
    assert denoising.start(told).to_bytes() == state.to_bytes()
    assert torch.equal(latents_of(denoising, told), latents_of(denoising, changed))
