"""Our Wan makes what diffusers' pipelines make of the same folder, prompt, image and seed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_wan import BOUNDARY_RATIOS, WAN_VARIANTS, WanVariant, load_pipeline, write_wan
from torch import Tensor

from telecine.engine.denoise import (
    Conditioning,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.families.wan import WanFamily
from telecine.engine.latents import Latents
from telecine.engine.state import DenoiseState
from telecine.engine.vae.layers import FeatCache

# Of diffusers' loading of folders that miss an image processor.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

CPU = torch.device("cpu")
PROMPT, NEGATIVE_PROMPT = "a red circle moving left", "blurred details, worst quality"
SIZE = VideoSize(num_frames=9, height=32, width=64, fps=16)
NUM_STEPS, SEED, GUIDANCE = 5, 3, 5.0
SAMPLERS = ("euler", "unipc")
TOLERANCE = 1e-4
"""Of the largest difference, relative to the largest value."""


class Case(NamedTuple):
    """A folder, opened by both."""

    variant: WanVariant
    folder: Path
    family: WanFamily


@pytest.fixture(scope="module", params=WAN_VARIANTS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder: Path = tmp_path_factory.mktemp("tiny_wan")
    write_wan(folder, request.param)
    family = load_family(str(folder))
    assert isinstance(family, WanFamily)
    return Case(request.param, folder, family)


def first_image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE.height, SIZE.width, 3), np.uint8)
    return Image.fromarray(pixels)


def run_pipeline(case: Case, sampler: str, guidance_scale: float = GUIDANCE) -> list[Tensor]:
    """The latents after each of the pipeline's steps."""
    seen: list[Tensor] = []

    def remember(_: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> Any:
        seen.append(tensors["latents"].clone())
        return tensors

    image = {"image": first_image()} if "i2v" in case.variant else {}
    load_pipeline(case.folder, sampler)(
        **image,
        prompt=PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        num_frames=SIZE.num_frames,
        height=SIZE.height,
        width=SIZE.width,
        num_inference_steps=NUM_STEPS,
        guidance_scale=guidance_scale,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="latent",
        callback_on_step_end=remember,
    )
    return seen


@torch.inference_mode()
def image_conditioning(case: Case) -> Conditioning:
    """What the pipeline itself makes of the first image."""
    if "i2v" not in case.variant:
        return {}
    pipeline = load_pipeline(case.folder)
    pixels = pipeline.video_processor.preprocess(
        first_image(), height=SIZE.height, width=SIZE.width
    )
    _, condition, *_ = pipeline.prepare_latents(
        pixels,
        1,
        pipeline.vae.config.z_dim,
        SIZE.height,
        SIZE.width,
        SIZE.num_frames,
        torch.float32,
        CPU,
        torch.Generator("cpu").manual_seed(SEED),
    )
    given = {"image_latents": condition}
    if case.variant == "2.1-i2v":
        given["image_embeds"] = pipeline.encode_image(first_image(), CPU)
    return given


def config_of(case: Case, sampler: str, guidance_scale: float = GUIDANCE) -> SamplingConfig:
    request = SamplingRequest(
        seed=SEED,
        num_inference_steps=NUM_STEPS,
        guidance_scale=guidance_scale,
        sampler=sampler,
        attention="full",
    )
    return sampling_config(case.family, SIZE, request)


@torch.inference_mode()
def in_slices(
    case: Case, prompt: Conditioning, negative: Conditioning | None, config: SamplingConfig
) -> Iterator[StepOutput]:
    """Two slices, each by a denoiser of its own, from the bytes that the one before left."""
    state = initial_state(config, CPU)
    for num_steps in (2, NUM_STEPS - 2):
        steps = denoise_slice(
            case.family.load_denoiser(CPU),
            prompt,
            negative,
            config=config,
            state=DenoiseState.from_bytes(state.to_bytes()),
            num_steps=num_steps,
        )
        for step in steps:
            state = step.state
            yield step


@torch.inference_mode()
def test_a_first_frame_is_encoded_as_the_pipeline_does(case: Case) -> None:
    expected = image_conditioning(case)
    frame = torch.from_numpy(np.array(first_image())).permute(2, 0, 1)[None, :, None]
    encoded = case.family.load_image_encoder(CPU).encode(
        frame / 127.5 - 1.0, num_frames=SIZE.num_frames
    )
    assert set(encoded) == {"latents", *case.family.image_conditioning}
    assert set(case.family.image_conditioning) >= set(expected)
    for name, wanted in expected.items():
        assert encoded[name].ndim == case.family.image_conditioning[name] + 1
        assert relative_error(encoded[name], wanted) < TOLERANCE


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_given_first_frame_takes_its_place(case: Case, sampler: str) -> None:
    if case.variant != "2.2-5b-i2v":
        pytest.skip("its first frame lies beside the latents")
    image = image_conditioning(case)
    prompt = {**PromptEncoder(case.family).encode(PROMPT), **image}
    *_, last = in_slices(case, prompt, None, config_of(case, sampler))
    assert relative_error(last.state.latents[:, :, :1], image["image_latents"]) < TOLERANCE


def test_the_card_says_what_a_video_can_be_made_from(case: Case) -> None:
    card = case.family.card
    takes_frame = "i2v" in case.variant or "5b" in case.variant
    assert ("IMAGE_TO_VIDEO" in card.features) == takes_frame
    assert ("EXTEND" in card.features) == takes_frame == (card.max_context_frames == 1)
    assert "EDIT" in card.features
    assert bool(case.family.image_conditioning) == takes_frame


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def largest_error(case: Case, sampler: str, prompt: str = PROMPT) -> float:
    encode, image = PromptEncoder(case.family).encode, image_conditioning(case)
    prompts = {**encode(prompt), **image}, {**encode(NEGATIVE_PROMPT), **image}
    steps = in_slices(case, *prompts, config_of(case, sampler))
    expected = run_pipeline(case, sampler)
    # The pipeline puts a given frame in its place after the last step alone.
    first = 1 if case.variant == "2.2-5b-i2v" else 0
    return max(
        relative_error(step.state.latents[:, :, first:], wanted[:, :, first:])
        for step, wanted in zip(steps, expected, strict=True)
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_latents_after_every_step_equal_the_pipeline_s_with_a_resume_between(
    case: Case, sampler: str
) -> None:
    assert largest_error(case, sampler) < TOLERANCE


def test_another_prompt_gives_another_video(case: Case) -> None:
    assert largest_error(case, "euler", "two cats, fighting on a stage") > 5 * TOLERANCE


def test_without_guidance_it_equals_the_pipeline_without_any(case: Case) -> None:
    expected = run_pipeline(case, "euler", 1.0)[-1]
    prompt = {**PromptEncoder(case.family).encode(PROMPT), **image_conditioning(case)}
    *_, last = in_slices(case, prompt, None, config_of(case, "euler", 1.0))
    first = 1 if case.variant == "2.2-5b-i2v" else 0
    assert relative_error(last.state.latents[:, :, first:], expected[:, :, first:]) < TOLERANCE


def test_prompts_are_encoded_as_the_pipeline_does(case: Case) -> None:
    pipeline = load_pipeline(case.folder)
    encode = PromptEncoder(case.family).encode
    for text in (PROMPT, "", "Two   cats &amp; a dog", "a red " * 600):
        with torch.inference_mode():
            embeds, _ = pipeline.encode_prompt(
                text, do_classifier_free_guidance=False, max_sequence_length=512
            )
        torch.testing.assert_close(encode(text)["prompt_embeds"], embeds, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_decoding_streams_the_library_s_frames_and_goes_on_from_stored_bytes(case: Case) -> None:
    shape = case.family.latents_shape(num_frames=17, height=32, width=64)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    vae = case.family.load_vae(CPU)
    whole = vae.decode(latents)
    feat_cache = FeatCache()
    chunks = list(vae.decode_chunks(latents[:, :, :2], feat_cache))
    stored = FeatCache.from_bytes(feat_cache.to_bytes(), CPU)
    chunks += vae.decode_chunks(latents[:, :, 2:], stored)
    assert [chunk.shape[2] for chunk in chunks] == [1, 4, 4, 4, 4]
    assert torch.equal(torch.cat(chunks, 2), whole)
    library = load_pipeline(case.folder).vae
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (library.config.latents_mean, library.config.latents_std)
    )
    expected = library.decode(latents * std + mean).sample
    assert whole.shape == (1, 3, 17, 32, 64)
    torch.testing.assert_close(whole, expected, rtol=0.0, atol=1e-5)


@torch.inference_mode()
def test_only_the_expert_of_the_noise_level_works(case: Case) -> None:
    if case.variant not in BOUNDARY_RATIOS:
        pytest.skip("one transformer")
    denoiser = case.family.load_denoiser(CPU)
    called: list[str] = []
    for name, network in denoiser.networks.items():
        network.register_forward_hook(lambda *_, name=name: called.append(name))
    config = config_of(case, "euler")
    prompt = {**PromptEncoder(case.family).encode(PROMPT), **image_conditioning(case)}
    velocity = denoiser.begin(prompt, None, config)
    latents = Latents(initial_state(config, CPU).latents)
    boundary = BOUNDARY_RATIOS[case.variant]
    velocity(latents, boundary + 0.01)
    velocity(latents, boundary - 0.01)
    assert called == ["transformer", "transformer_2"]
