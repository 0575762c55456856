"""A video that starts from pictures: given frames stay, a source is kept as far as it should."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from telecine.engine.denoise import (
    ClipStart,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.protocol import Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.noise import initial_noise
from telecine.engine.samplers import SAMPLERS
from telecine.engine.state import DenoiseState

CPU = torch.device("cpu")
NUM_STEPS = 5
SIZE = VideoSize(num_frames=25, height=32, width=32, fps=16)


@pytest.fixture(scope="module")
def random_family(random_weights: Path) -> Family:
    return load_family(str(random_weights))


@pytest.fixture(scope="module")
def latents(random_family: Family) -> Tensor:
    """Of a whole clip."""
    shape = random_family.latents_shape(num_frames=25, height=32, width=32)
    return torch.randn(shape, generator=torch.Generator().manual_seed(11))


def config(family: Family, *, sampler: str = "euler", **request: object) -> SamplingConfig:
    asked = SamplingRequest(
        seed=3,
        num_inference_steps=NUM_STEPS,
        guidance_scale=2.0,
        sampler=sampler,
        attention=str(request.pop("attention", "full")),
    )
    return sampling_config(family, SIZE, asked._replace(**request))  # type: ignore[arg-type]


class Runner:
    """Denoises jobs of one family."""

    def __init__(self, family: Family) -> None:
        encoder = PromptEncoder(family)
        self._prompts = encoder.encode("a red circle moves left"), encoder.encode("")
        self._denoiser = family.load_denoiser(CPU)

    @torch.no_grad()
    def steps(
        self, job: SamplingConfig, start: ClipStart, *, slice_steps: int = 100
    ) -> Iterator[StepOutput]:
        state = initial_state(job, CPU, start)
        while state.step_index < job.num_steps:
            data = state.to_bytes()
            steps = denoise_slice(
                self._denoiser,
                *self._prompts,
                config=job,
                state=DenoiseState.from_bytes(data),
                num_steps=slice_steps,
            )
            for step in steps:
                state = step.state
                yield step


@pytest.fixture(scope="module")
def runner(random_family: Family) -> Runner:
    return Runner(random_family)


def test_given_frames_stay_and_the_rest_is_made_after_them(
    random_family: Family, runner: Runner, latents: Tensor
) -> None:
    job = config(random_family, attention="causal", given_latent_frames=2)
    given = latents[:, :, :2]
    steps = list(runner.steps(job, ClipStart(given=given)))
    made = steps[-1].state.latents
    other = list(runner.steps(job, ClipStart(given=given + 1)))[-1].state.latents
    assert torch.equal(made[:, :, :2], given)
    assert made.isfinite().all()
    # What comes after them depends on them.
    assert not torch.equal(made[:, :, 2:], other[:, :, 2:])
    assert len(steps) == job.num_steps
    assert steps[0].num_final_frames == 2
    assert steps[-1].num_final_frames == made.shape[2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_edit_resumes_bit_for_bit(
    random_family: Family, runner: Runner, latents: Tensor, sampler: str
) -> None:
    job = config(random_family, sampler=sampler, strength=0.8)
    whole = list(runner.steps(job, ClipStart(source=latents)))
    sliced = list(runner.steps(job, ClipStart(source=latents), slice_steps=1))
    assert [step.step_index for step in whole] == [2, 3, 4, 5]
    assert torch.equal(whole[-1].state.latents, sliced[-1].state.latents)


@pytest.mark.parametrize("job_kind", ["edit", "extend"])
def test_causal_job_resumes_bit_for_bit(
    random_family: Family, runner: Runner, latents: Tensor, job_kind: str
) -> None:
    is_edit = job_kind == "edit"
    job = (
        config(random_family, attention="causal", strength=0.5)
        if is_edit
        else config(random_family, attention="causal", given_latent_frames=3)
    )
    start = ClipStart(source=latents) if is_edit else ClipStart(given=latents[:, :, :3])
    whole = list(runner.steps(job, start))
    sliced = list(runner.steps(job, start, slice_steps=1))
    assert torch.equal(whole[-1].state.latents, sliced[-1].state.latents)
    assert whole[-1].step_index == job.num_steps


def test_edit_begins_at_the_noise_level_of_its_strength(
    random_family: Family, latents: Tensor
) -> None:
    job = config(random_family, strength=0.6)
    state = initial_state(job, CPU, ClipStart(source=latents))
    sigma = job.sigmas[2]
    noise = initial_noise(job.latents_shape, job.seed).video
    assert job.start_step == 2
    assert torch.equal(state.latents, (1 - sigma) * latents + sigma * noise)


def test_at_full_strength_nothing_of_the_source_is_left(
    random_family: Family, latents: Tensor
) -> None:
    job = config(random_family, strength=1.0)
    edited = initial_state(job, CPU, ClipStart(source=latents))
    assert torch.equal(edited.latents, initial_state(job, CPU).latents)


def test_weakest_edit_does_one_step(random_family: Family, runner: Runner, latents: Tensor) -> None:
    job = config(random_family, strength=1e-9)
    steps = list(runner.steps(job, ClipStart(source=latents)))
    assert [step.step_index for step in steps] == [NUM_STEPS]


def test_latents_that_do_not_fit_are_refused(random_family: Family, latents: Tensor) -> None:
    job = config(random_family, attention="causal", given_latent_frames=2)
    for start in (ClipStart(), ClipStart(given=latents[:, :, :3])):
        with pytest.raises(ValueError, match="given: latents of the first 2 frames"):
            initial_state(job, CPU, start)
    with pytest.raises(ValueError, match="source: latents"):
        initial_state(replace(job, given_frames=0), CPU, ClipStart(source=latents[:, :, :2]))


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.5, float("nan")])
def test_strength_outside_its_range_is_refused(random_family: Family, strength: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        config(random_family, strength=strength)


def test_pictures_are_encoded_to_what_decodes_to_them(random_family: Family) -> None:
    encoder = random_family.load_image_encoder(CPU)
    frames = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    encoded = encoder.encode(frames, num_frames=33)
    alone = encoder.encode(frames[:, :, :1], num_frames=33)
    assert set(encoded) == {"latents", *random_family.image_conditioning}
    assert encoded["latents"].shape == random_family.latents_shape(
        num_frames=9, height=32, width=32
    )
    # The VAE is causal: a first frame's latents do not know what follows.
    torch.testing.assert_close(encoded["latents"][:, :, :1], alone["latents"])
