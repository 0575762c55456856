"""Our LTX-2 makes the picture and the sound that diffusers' pipeline makes of the same folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tiny_ltx2 import SIZE as PIXELS
from tiny_ltx2 import Version, load_pipeline, write_tiny_ltx2
from torch import Tensor

from telecine.engine.denoise import (
    Conditioning,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family
from telecine.engine.families.ltx2 import LTX2Family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.ltx2.guidance import LTX2Guidance
from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.state import DenoiseState

CPU = torch.device("cpu")
PROMPT, NEGATIVE_PROMPT = "a red circle moves left with loud music", "blue square"
FPS, NUM_STEPS, SEED = 24, 4, 3
SIZE = VideoSize(PIXELS["num_frames"], PIXELS["height"], PIXELS["width"], FPS)
GUIDANCE = LTX2Guidance(skipping_blocks=frozenset({1}))
"""The authors' scales; the block is one that a small network has."""
TOLERANCE = 1e-4
"""Of the largest difference, relative to the largest value."""


class Reference(NamedTuple):
    """What the pipeline had after each step, as tokens [1, N, C], and its final outcome."""

    steps: list[tuple[Tensor, Tensor]]
    frames: Tensor
    waveform: Tensor


class Case(NamedTuple):
    """A folder, opened by both."""

    family: LTX2Family
    pipeline: Any


@pytest.fixture(scope="module", params=["2.0", "2.3"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    version: Version = request.param
    folder: Path = tmp_path_factory.mktemp("tiny_ltx2")
    write_tiny_ltx2(folder, version)
    family = load_family(str(folder))
    assert isinstance(family, LTX2Family)
    return Case(family, load_pipeline(folder))


@pytest.fixture(scope="module")
def reference(case: Case) -> Reference:
    return run_pipeline(case.pipeline)


def run_pipeline(pipeline: Any, **options: Any) -> Reference:
    steps: list[tuple[Tensor, Tensor]] = []

    def remember(_: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> Any:
        steps.append((tensors["latents"].clone(), tensors["audio_latents"].clone()))
        return tensors

    # It keeps them to itself otherwise.
    pipeline._callback_tensor_inputs = ["latents", "audio_latents"]
    made = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        **PIXELS,
        frame_rate=float(FPS),
        num_inference_steps=NUM_STEPS,
        spatio_temporal_guidance_blocks=sorted(GUIDANCE.skipping_blocks),
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="pt",
        callback_on_step_end=remember,
        callback_on_step_end_tensor_inputs=["latents", "audio_latents"],
        **options,
    )
    return Reference(steps, made.frames, made.audio)


def config_of(family: LTX2Family, guidance_scale: float = 3.0) -> SamplingConfig:
    request = SamplingRequest(
        seed=SEED,
        num_inference_steps=NUM_STEPS,
        guidance_scale=guidance_scale,
        sampler="euler",
        attention="full",
    )
    return sampling_config(family, SIZE, request)


@torch.inference_mode()
def in_slices(
    family: LTX2Family,
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
            family.load_denoiser(CPU, guidance=GUIDANCE),
            prompt,
            negative_prompt,
            config=config,
            state=DenoiseState.from_bytes(state.to_bytes()),
            num_steps=num_steps,
        )
        for step in steps:
            state = step.state
            yield step


def tokens_of(state: DenoiseState) -> tuple[Tensor, Tensor]:
    """Picture and sound as the pipeline holds them."""
    assert state.audio_latents is not None
    return (
        state.latents.flatten(2).transpose(1, 2),
        state.audio_latents.transpose(1, 2).flatten(2),
    )


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def largest_error(states: list[DenoiseState], expected: list[tuple[Tensor, Tensor]]) -> float:
    return max(
        relative_error(found, wanted)
        for state, pair in zip(states, expected, strict=True)
        for found, wanted in zip(tokens_of(state), pair, strict=True)
    )


def test_picture_and_sound_after_every_step_equal_the_pipeline_s_with_a_resume_between(
    case: Case, reference: Reference
) -> None:
    encode = PromptEncoder(case.family).encode
    steps = in_slices(
        case.family,
        encode(PROMPT),
        encode(NEGATIVE_PROMPT),
        config=config_of(case.family),
        slices=(1, 3),
    )
    assert largest_error([step.state for step in steps], reference.steps) < TOLERANCE


def test_slices_give_the_bits_of_one_run(case: Case) -> None:
    encode = PromptEncoder(case.family).encode
    prompts, config = (encode(PROMPT), encode(NEGATIVE_PROMPT)), config_of(case.family)
    whole, cut = (
        list(in_slices(case.family, *prompts, config=config, slices=slices))[-1].state
        for slices in ((4,), (1, 2, 1))
    )
    assert whole.to_bytes() == cut.to_bytes()


def test_without_guidance_it_equals_the_pipeline_without_any(case: Case) -> None:
    plain = {
        f"{prefix}{name}": value
        for prefix in ("", "audio_")
        for name, value in (
            ("guidance_scale", 1.0),
            ("stg_scale", 0.0),
            ("modality_scale", 1.0),
            ("guidance_rescale", 0.0),
        )
    }
    plain["guidance_rescale"] = plain.pop("guidance_rescale")
    expected = run_pipeline(case.pipeline, **plain).steps
    encode = PromptEncoder(case.family).encode
    config = config_of(case.family, 1.0)
    steps = in_slices(case.family, encode(PROMPT), None, config=config, slices=(4,))
    assert largest_error([step.state for step in steps], expected) < TOLERANCE


def test_another_prompt_gives_another_video_and_another_sound(
    case: Case, reference: Reference
) -> None:
    encode = PromptEncoder(case.family).encode
    prompts = encode("a blue square moves"), encode(NEGATIVE_PROMPT)
    *_, last = in_slices(case.family, *prompts, config=config_of(case.family), slices=(4,))
    for found, expected in zip(tokens_of(last.state), reference.steps[-1], strict=True):
        assert relative_error(found, expected) > 10 * TOLERANCE


@torch.inference_mode()
def test_decoded_frames_and_waveform_equal_the_pipeline_s(case: Case, reference: Reference) -> None:
    encode = PromptEncoder(case.family).encode
    prompts = encode(PROMPT), encode(NEGATIVE_PROMPT)
    *_, last = in_slices(case.family, *prompts, config=config_of(case.family), slices=(4,))
    frames = case.family.load_vae(CPU).decode(last.state.latents)
    decoder = case.family.load_audio_decoder(CPU)
    assert last.state.audio_latents is not None
    waveform = decoder.decode(last.state.audio_latents)
    expected = reference.frames.transpose(1, 2) * 2.0 - 1.0
    torch.testing.assert_close(frames.clamp(-1.0, 1.0), expected, atol=1e-3, rtol=0.0)
    assert relative_error(waveform, reference.waveform) < 1e-3
    assert torch.equal(
        torch.cat(list(decoder.decode_chunks(last.state.audio_latents)), 2), waveform
    )
    assert decoder.sample_rate == case.pipeline.vocoder.config.output_sampling_rate


def test_state_of_another_length_of_sound_does_not_fit(case: Case) -> None:
    config = config_of(case.family)
    assert config.audio_latents_shape is not None
    silent = replace(config, audio_latents_shape=None)
    encode = PromptEncoder(case.family).encode
    with pytest.raises(ValueError, match="audio_latents_shape"):
        list(in_slices(case.family, encode(PROMPT), None, config=silent, slices=(1,)))


def test_ranks_that_share_layers_or_tokens_share_the_heads_of_both_sides(case: Case) -> None:
    plan = case.family.parallel_plan
    plan.check(ParallelConfig(sequence_parallel_size=2, guidance_parallel_size=2))
    with pytest.raises(ValueError, match="4 ranks cannot share 2 heads"):
        plan.check(ParallelConfig(2, 2))
