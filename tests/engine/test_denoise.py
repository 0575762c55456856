"""A job cut into slices gives the same bits as one that was never cut."""

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import torch

from telecine.engine.denoise import (
    Conditioning,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.dit.model import DiT
from telecine.engine.samplers import SAMPLERS
from telecine.engine.state import DenoiseState
from telecine.errors import CheckpointError

CPU = torch.device("cpu")
Run = Callable[[SamplingConfig, DenoiseState, int], list[StepOutput]]


def _config(sampler: str = "euler", *, num_inference_steps: int = 5) -> SamplingConfig:
    return SamplingConfig(
        seed=7,
        num_inference_steps=num_inference_steps,
        guidance_scale=3.0,
        sampler=sampler,
        shift=2.0,
        latents_shape=(1, 4, 3, 4, 4),
    )


@pytest.fixture
def run(dit: DiT, prompt: Conditioning, negative_prompt: Conditioning) -> Run:
    def _run(config: SamplingConfig, state: DenoiseState, num_steps: int) -> list[StepOutput]:
        outputs: Iterator[StepOutput] = denoise_slice(
            dit, prompt, negative_prompt, config=config, state=state, num_steps=num_steps
        )
        return list(outputs)

    return _run


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_resumed_latents_are_bit_identical(run: Run, sampler: str, cut: int) -> None:
    config = _config(sampler)
    whole = run(config, initial_state(config, CPU), 5)[-1].state
    half = run(config, initial_state(config, CPU), cut)[-1].state
    stored = DenoiseState.from_bytes(half.to_bytes())
    resumed = run(config, stored, 5)[-1].state
    assert torch.equal(resumed.latents, whole.latents)
    assert resumed.is_finished


def test_slice_stops_at_the_last_step(run: Run) -> None:
    config = _config(num_inference_steps=3)
    outputs = run(config, initial_state(config, CPU), 10)
    assert [output.step_index for output in outputs] == [1, 2, 3]
    assert outputs[-1].sigma == 0.0


def test_finished_state_yields_no_step(run: Run) -> None:
    config = _config(num_inference_steps=2)
    state = run(config, initial_state(config, CPU), 2)[-1].state
    assert run(config, state, 1) == []


def test_another_seed_gives_another_video(run: Run) -> None:
    config = _config()
    other = dataclasses.replace(config, seed=8)
    first = run(config, initial_state(config, CPU), 5)[-1].state.latents
    second = run(other, initial_state(other, CPU), 5)[-1].state.latents
    assert not torch.allclose(first, second)


def test_state_of_another_job_is_refused(run: Run) -> None:
    config = _config()
    state = initial_state(config, CPU)
    with pytest.raises(CheckpointError, match="another job"):
        run(dataclasses.replace(config, seed=8), state, 1)


def test_guidance_of_one_equals_no_guidance(run: Run, dit: DiT, prompt: Conditioning) -> None:
    config = dataclasses.replace(_config(), guidance_scale=1.0)
    state = initial_state(config, CPU)
    guided = run(config, state, 5)[-1].state.latents
    plain = list(denoise_slice(dit, prompt, None, config=config, state=state, num_steps=5))
    torch.testing.assert_close(guided, plain[-1].state.latents)
