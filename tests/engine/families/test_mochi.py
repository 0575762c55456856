"""Our Mochi makes what diffusers' pipeline makes of the same folder, prompt and seed."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import MochiPipeline
from tiny_mochi import write_tiny_mochi
from torch import Tensor

from telecine.engine.denoise import (
    Conditioning,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family
from telecine.engine.families.mochi import MochiFamily
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.latents import Latents
from telecine.engine.mochi.schedule import linear_quadratic_sigmas
from telecine.engine.offload import LoadOptions
from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.state import DenoiseState
from telecine.engine.vae.layers import FeatCache

# diffusers asks for an autocast in float32, which the CPU has not.
pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")

CPU = torch.device("cpu")
PROMPT, NEGATIVE_PROMPT = "a red circle moves left over the sea", "blurry"
SIZE = VideoSize(num_frames=19, height=32, width=48, fps=30)
NUM_STEPS = 5
TOLERANCE = 1e-4
"""Of the largest difference, relative to the largest value; seen: 7e-7 after the fifth step."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tiny_mochi")
    write_tiny_mochi(folder)
    return folder


@pytest.fixture(scope="module")
def family(weights: Path) -> MochiFamily:
    opened = load_family(str(weights))
    assert isinstance(opened, MochiFamily)
    return opened


@pytest.fixture(scope="module")
def pipeline(weights: Path) -> Any:
    loaded = MochiPipeline.from_pretrained(weights, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture(scope="module")
def encode(family: MochiFamily) -> Any:
    return PromptEncoder(family).encode


def _pipeline_latents(pipeline: Any, negative_prompt: str, guidance_scale: float) -> list[Tensor]:
    """The latents after each of the pipeline's steps."""
    seen: list[Tensor] = []

    def remember(_: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> Any:
        seen.append(tensors["latents"].clone())
        return tensors

    pipeline(
        PROMPT,
        negative_prompt=negative_prompt,
        num_frames=SIZE.num_frames,
        height=SIZE.height,
        width=SIZE.width,
        num_inference_steps=NUM_STEPS,
        guidance_scale=guidance_scale,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="latent",
        callback_on_step_end=remember,
    )
    return seen


def _config(family: MochiFamily, guidance_scale: float = 4.5) -> SamplingConfig:
    request = SamplingRequest(
        seed=3,
        num_inference_steps=NUM_STEPS,
        guidance_scale=guidance_scale,
        sampler="euler",
        attention="full",
    )
    return sampling_config(family, SIZE, request)


@torch.inference_mode()
def _in_slices(
    family: MochiFamily,
    prompt: Conditioning,
    negative_prompt: Conditioning | None,
    *,
    config: SamplingConfig,
    slices: tuple[int, ...],
) -> Iterator[StepOutput]:
    """Each slice by a denoiser of its own, from the bytes that the one before left."""
    state = initial_state(config, CPU)
    for num_steps in slices:
        steps = denoise_slice(
            family.load_denoiser(CPU),
            prompt,
            negative_prompt,
            config=config,
            state=DenoiseState.from_bytes(state.to_bytes()),
            num_steps=num_steps,
        )
        for step in steps:
            state = step.state
            yield step


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("negative_prompt", [NEGATIVE_PROMPT, ""], ids=["negative", "empty"])
def test_latents_after_every_step_equal_the_pipeline_s_with_a_resume_between(
    family: MochiFamily, pipeline: Any, encode: Any, negative_prompt: str
) -> None:
    expected = _pipeline_latents(pipeline, negative_prompt, 4.5)
    prompt, negative = encode(PROMPT), encode(negative_prompt)
    config = _config(family)
    steps = list(_in_slices(family, prompt, negative, config=config, slices=(2, 3)))
    errors = [
        relative_error(step.state.latents, latents)
        for step, latents in zip(steps, expected, strict=True)
    ]
    assert max(errors) < TOLERANCE


def test_latents_without_guidance_equal_the_pipeline_s(
    family: MochiFamily, pipeline: Any, encode: Any
) -> None:
    expected = _pipeline_latents(pipeline, NEGATIVE_PROMPT, 1.0)
    steps = list(_in_slices(family, encode(PROMPT), None, config=_config(family, 1.0), slices=(5,)))
    assert relative_error(steps[-1].state.latents, expected[-1]) < TOLERANCE


def test_another_prompt_gives_another_video(
    family: MochiFamily, pipeline: Any, encode: Any
) -> None:
    expected = _pipeline_latents(pipeline, NEGATIVE_PROMPT, 4.5)
    prompts = encode("a blue circle"), encode(NEGATIVE_PROMPT)
    steps = list(_in_slices(family, *prompts, config=_config(family), slices=(5,)))
    assert relative_error(steps[-1].state.latents, expected[-1]) > 100 * TOLERANCE


def test_prompts_are_encoded_as_the_pipeline_does(pipeline: Any, encode: Any) -> None:
    for text in (PROMPT, "", "a red " * 300):
        with torch.inference_mode():
            embeds, mask = pipeline.encode_prompt(text, do_classifier_free_guidance=False)[:2]
        ours = encode(text)
        assert torch.equal(ours["attention_mask"].bool(), mask)
        torch.testing.assert_close(ours["prompt_embeds"], embeds, rtol=1e-4, atol=1e-5)


def test_a_long_prompt_is_cut_and_says_so(family: MochiFamily) -> None:
    tokens = family.load_tokenizer().encode("a red " * 300 + "sea")
    assert tokens.input_ids.shape == (1, 256)
    assert tokens.is_truncated
    assert tokens.num_tokens == 602


@pytest.mark.parametrize("num_inference_steps", [2, 3, 5, 28, 64])
def test_noise_levels_are_the_pipeline_s(pipeline: Any, num_inference_steps: int) -> None:
    from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule

    pipeline.scheduler.set_timesteps(sigmas=linear_quadratic_schedule(num_inference_steps, 0.025))
    ours = torch.tensor(linear_quadratic_sigmas(num_inference_steps), dtype=torch.float64)
    theirs = pipeline.scheduler.sigmas.double()
    torch.testing.assert_close(1.0 - ours, theirs, rtol=1e-6, atol=1e-7)


def test_one_step_goes_from_noise_to_clean() -> None:
    assert linear_quadratic_sigmas(1) == (1.0, 0.0)


@torch.inference_mode()
def test_decoded_frames_equal_diffusers_decoder(family: MochiFamily, pipeline: Any) -> None:
    latents = torch.randn(1, 12, 4, 4, 6, generator=torch.Generator().manual_seed(0))
    config = pipeline.vae.config
    mean, std = (
        torch.tensor(values).view(1, 12, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    expected = pipeline.vae.decode(latents * std / config.scaling_factor + mean).sample
    found = family.load_vae(CPU).decode(latents)
    assert found.shape == (1, 3, 19, 32, 48)
    assert relative_error(found, expected) < 1e-5  # seen: 2e-6


@torch.inference_mode()
def test_decoding_goes_on_from_stored_bytes_to_the_same_bits(family: MochiFamily) -> None:
    latents = torch.randn(1, 12, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    vae = family.load_vae(CPU)
    whole = vae.decode(latents)
    feat_cache = FeatCache()
    chunks = list(vae.decode_chunks(latents[:, :, :2], feat_cache))
    stored = FeatCache.from_bytes(feat_cache.to_bytes(), CPU)
    chunks += vae.decode_chunks(latents[:, :, 2:], stored)
    assert [chunk.shape[2] for chunk in chunks] == [1, 6, 6, 6, 6]
    assert torch.equal(torch.cat(chunks, 2), whole)


@torch.inference_mode()
def test_what_slices_share_is_kept_while_the_prompt_stays(family: MochiFamily, encode: Any) -> None:
    denoiser = family.load_denoiser(CPU)
    config = _config(family)
    begin = partial(denoiser.begin, config=config)
    first = begin(encode(PROMPT), encode(NEGATIVE_PROMPT))
    again = begin(encode(PROMPT), encode(NEGATIVE_PROMPT))
    other = begin(encode("a blue circle"), encode(NEGATIVE_PROMPT))
    assert again._prompt is first._prompt
    assert other._prompt is not first._prompt
    assert other._rotary_emb is first._rotary_emb


@torch.inference_mode()
@pytest.mark.parametrize("weights_mode", ["disk", "int8"])
def test_weights_that_do_not_fit_give_the_same_video(
    family: MochiFamily, encode: Any, weights_mode: Any
) -> None:
    config = _config(family)
    latents = Latents(initial_state(config, CPU).latents)
    full, held = (
        family.load_denoiser(CPU, options).begin(encode(PROMPT), None, config)(latents, 0.7).video
        for options in (LoadOptions(), LoadOptions(weights_mode))
    )
    error = relative_error(held, full)
    assert error == 0.0 if weights_mode == "disk" else 0.0 < error < 0.02  # seen: 4e-3


def test_ranks_that_share_layers_or_tokens_share_the_heads(family: MochiFamily) -> None:
    family.parallel_plan.check(ParallelConfig(sequence_parallel_size=2, guidance_parallel_size=2))
    with pytest.raises(ValueError, match="4 ranks cannot share 2 heads"):
        family.parallel_plan.check(ParallelConfig(2, 2))
