"""A group of ranks makes the video that one process makes, to float32's last bits."""

import pytest
import torch
from rank_program import cases_of
from small_denoisers import CASES, denoise, make_denoiser
from torch import Tensor

from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.state import DenoiseState

from .conftest import RunGroup

TENSOR = ParallelConfig(tensor_parallel_size=2)
SEQUENCE = ParallelConfig(sequence_parallel_size=2)
GUIDANCE = ParallelConfig(guidance_parallel_size=2)
TENSOR_AND_GUIDANCE = ParallelConfig(tensor_parallel_size=2, guidance_parallel_size=2)
TENSOR_AND_SEQUENCE = ParallelConfig(tensor_parallel_size=2, sequence_parallel_size=2)
LAYOUTS = [
    TENSOR,
    SEQUENCE,
    GUIDANCE,
    pytest.param(TENSOR_AND_GUIDANCE, marks=pytest.mark.slow),
    pytest.param(TENSOR_AND_SEQUENCE, marks=pytest.mark.slow),
]
# Sums are taken in another order: some units in the last place of float32, after three steps.
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def relative_difference(found: bytes, expected: Tensor) -> float:
    latents = DenoiseState.from_bytes(found).latents
    return float((latents - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", sorted(CASES))
def test_group_equals_one_process(run_group: RunGroup, layout: ParallelConfig, name: str) -> None:
    if name not in cases_of(layout):
        pytest.skip("refused: see test_layout.py")
    expected = denoise(make_denoiser(CASES[name].family), CASES[name]).latents
    found = run_group(layout)
    assert relative_difference(found[name], expected) < TOLERANCE
    assert not found[f"{name} differs between ranks"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_state_of_one_process_is_gone_on_from_by_a_group_and_back(
    run_group: RunGroup, layout: ParallelConfig
) -> None:
    expected = denoise(make_denoiser(), CASES["unipc"]).latents
    found = run_group(layout)
    assert relative_difference(found["resumed"], expected) < TOLERANCE
    back = denoise(
        make_denoiser(), CASES["unipc"], state=DenoiseState.from_bytes(found["half"])
    ).to_bytes()
    assert relative_difference(back, expected) < TOLERANCE


@pytest.mark.parametrize("family", ["toybox", "wan", "mochi", "ltx2"])
def test_tensor_parallel_ranks_keep_half_of_the_blocks_in_memory(
    run_group: RunGroup, family: str
) -> None:
    # All but norms, and shifts and scales that are a block's own.
    assert run_group(TENSOR)[f"share of {family}"] == pytest.approx(0.5, abs=0.05)


def test_sequence_parallel_ranks_keep_all_of_them(run_group: RunGroup) -> None:
    assert run_group(SEQUENCE)["share of toybox"] == 1.0
