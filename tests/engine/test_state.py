"""A state survives its journey, or says that it did not."""

import pytest
import torch
from safetensors.torch import save

from telecine.engine.state import DenoiseState
from telecine.errors import CheckpointError


def _state() -> DenoiseState:
    return DenoiseState(
        latents=torch.randn(1, 4, 3, 4, 4),
        step_index=3,
        seed=2**63 - 1,
        sampler="unipc",
        num_inference_steps=10,
        sampler_state={"last_sample": torch.randn(2, 2), "order": torch.tensor(2)},
        audio_latents=torch.randn(1, 8, 5),
    )


def test_state_comes_back_whole() -> None:
    state = _state()
    copy = DenoiseState.from_bytes(state.to_bytes())
    assert torch.equal(copy.latents, state.latents)
    assert torch.equal(copy.sampler_state["last_sample"], state.sampler_state["last_sample"])
    assert copy.sampler_state["order"].dtype == torch.int64
    assert copy.audio_latents is not None
    assert state.audio_latents is not None
    assert torch.equal(copy.audio_latents, state.audio_latents)
    assert (copy.step_index, copy.seed, copy.sampler) == (3, 2**63 - 1, "unipc")


def test_same_state_gives_same_bytes() -> None:
    state = _state()
    assert state.to_bytes() == state.to_bytes()


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_truncated_state_is_refused(length: int) -> None:
    with pytest.raises(CheckpointError):
        DenoiseState.from_bytes(_state().to_bytes()[:length])


def test_safetensors_of_something_else_are_refused() -> None:
    with pytest.raises(CheckpointError):
        DenoiseState.from_bytes(save({"latents": torch.zeros(1)}))
