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
from telecine.engine.dit.attention import TemporalMask
from telecine.engine.dit.denoiser import DiTDenoiser
from telecine.engine.dit.model import DiT
from telecine.engine.rollout import Rollout
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
        sigmas=tuple(SAMPLERS[sampler].sigmas(num_inference_steps, 2.0)),
        latents_shape=(1, 4, 3, 4, 4),
        fps=16,
    )


@pytest.fixture
def run(dit: DiT, prompt: Conditioning, negative_prompt: Conditioning) -> Run:
    def _run(config: SamplingConfig, state: DenoiseState, num_steps: int) -> list[StepOutput]:
        outputs: Iterator[StepOutput] = denoise_slice(
            DiTDenoiser(dit),
            prompt,
            negative_prompt,
            config=config,
            state=state,
            num_steps=num_steps,
        )
        return list(outputs)

    return _run


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
@pytest.mark.parametrize("guidance_floor", [0.0, 0.6])
def test_resumed_latents_are_bit_identical(
    run: Run, sampler: str, cut: int, guidance_floor: float
) -> None:
    config = dataclasses.replace(_config(sampler), guidance_floor=guidance_floor)
    whole = run(config, initial_state(config, CPU), 5)[-1].state
    half = run(config, initial_state(config, CPU), cut)[-1].state
    stored = DenoiseState.from_bytes(half.to_bytes())
    resumed = run(config, stored, 5)[-1].state
    assert torch.equal(resumed.latents, whole.latents)
    assert resumed.step_index == 5


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
    plain = list(
        denoise_slice(DiTDenoiser(dit), prompt, None, config=config, state=state, num_steps=5)
    )
    torch.testing.assert_close(guided, plain[-1].state.latents)


def test_nothing_is_guided_below_the_floor(run: Run, dit: DiT, prompt: Conditioning) -> None:
    everywhere = _config()
    config = dataclasses.replace(everywhere, guidance_floor=everywhere.sigmas[2])
    state = initial_state(config, CPU)
    outputs = run(config, state, 5)
    guided = run(everywhere, state, 3)
    torch.testing.assert_close(outputs[2].state.latents, guided[2].state.latents)
    rest = denoise_slice(
        DiTDenoiser(dit), prompt, None, config=config, state=outputs[2].state, num_steps=2
    )
    torch.testing.assert_close(outputs[-1].state.latents, list(rest)[-1].state.latents)
    assert not torch.allclose(
        outputs[-1].state.latents, run(everywhere, state, 5)[-1].state.latents
    )


def test_negative_prompt_is_not_computed_below_the_floor(run: Run, dit: DiT) -> None:
    config = dataclasses.replace(_config(), guidance_floor=_config().sigmas[2])
    rows: list[int] = []
    hook = dit.patch_embed.register_forward_hook(
        lambda _module, _inputs, tokens: rows.append(len(tokens))
    )
    run(config, initial_state(config, CPU), 5)
    hook.remove()
    assert rows == [2, 2, 2, 1, 1]


ROLLOUT = Rollout(chunk_frames=2, context_frames=3)


def _rollout_config(sampler: str = "euler") -> SamplingConfig:
    return dataclasses.replace(
        _config(sampler, num_inference_steps=3),
        latents_shape=(1, 4, 7, 4, 4),
        temporal_mask=TemporalMask("causal"),
        rollout=ROLLOUT,
    )


def _roll_out(run: Run, config: SamplingConfig, slice_steps: int) -> list[StepOutput]:
    outputs: list[StepOutput] = []
    state = initial_state(config, CPU)
    while state.step_index < config.num_steps:
        outputs += run(config, DenoiseState.from_bytes(state.to_bytes()), slice_steps)
        state = outputs[-1].state
    return outputs


def test_rollout_finishes_its_frames_chunk_by_chunk(run: Run) -> None:
    outputs = _roll_out(run, _rollout_config(), 3)
    assert [output.num_final_frames for output in outputs] == [0, 0, 2, 2, 2, 4, 4, 4, 6, 6, 6, 7]
    final = outputs[-1].state.latents
    for output in outputs:
        known = output.num_final_frames
        assert torch.equal(output.state.latents[:, :, :known], final[:, :, :known])


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("guidance_floor", [0.0, 0.6])
def test_rollout_in_slices_of_any_length_is_bit_identical(
    run: Run, sampler: str, guidance_floor: float
) -> None:
    config = dataclasses.replace(_rollout_config(sampler), guidance_floor=guidance_floor)
    finals = [_roll_out(run, config, steps)[-1].state.latents for steps in (1, 2, 100)]
    assert torch.equal(finals[0], finals[1])
    assert torch.equal(finals[0], finals[2])


def test_slice_of_a_rollout_stops_where_its_chunk_ends(run: Run) -> None:
    config = _rollout_config()
    assert len(run(config, initial_state(config, CPU), 100)) == 3


def test_chunk_sees_only_its_context(run: Run) -> None:
    config = _rollout_config()
    state = _roll_out(run, config, 100)[8].state  # before the last chunk, of frame 6 alone
    changed = state.latents.clone()
    changed[:, :, :3] += 1.0  # frames 3 to 5 are its context
    other = dataclasses.replace(state, latents=changed)
    first, second = (run(config, start, 3)[-1].state.latents for start in (state, other))
    assert torch.equal(first[:, :, 6:], second[:, :, 6:])
    changed[:, :, 3:] += 1.0
    third = run(config, other, 3)[-1].state.latents
    assert not torch.allclose(first[:, :, 6:], third[:, :, 6:])
