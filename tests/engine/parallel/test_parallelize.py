"""A group of ranks makes the video that one process makes, to float32's last bits."""

import pytest
import torch
from small_denoisers import CASES, RESUMED, counted_products, denoise, make_denoiser

from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.state import DenoiseState

from .conftest import FIRST, RunGroup

TENSOR = ParallelConfig(tensor_parallel_size=2)
SEQUENCE = ParallelConfig(sequence_parallel_size=2)
OF_FOUR = [
    ParallelConfig(sequence_parallel_size=4),
    ParallelConfig(tensor_parallel_size=2, guidance_parallel_size=2),
    ParallelConfig(tensor_parallel_size=2, sequence_parallel_size=2),
    ParallelConfig(sequence_parallel_size=2, guidance_parallel_size=2),
]
LAYOUTS = [
    TENSOR,
    SEQUENCE,
    FIRST,
    *(pytest.param(layout, marks=pytest.mark.slow) for layout in OF_FOUR),
]
# Sums are taken in another order: some units in the last place of float32, after three steps.
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def relative_difference(found: bytes, expected: DenoiseState) -> float:
    """Of the picture's latents or the sound's, whichever is larger."""
    state = DenoiseState.from_bytes(found)
    pairs = [(state.latents, expected.latents)]
    if state.audio_latents is not None and expected.audio_latents is not None:
        pairs.append((state.audio_latents, expected.audio_latents))
    return max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", sorted(CASES))
def test_group_equals_one_process(run_group: RunGroup, layout: ParallelConfig, name: str) -> None:
    expected = denoise(make_denoiser(CASES[name].family), CASES[name])
    found = run_group(layout)
    assert relative_difference(found[name], expected) < TOLERANCE
    assert not found[f"{name} differs between ranks"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", RESUMED)
def test_state_of_one_layout_is_gone_on_from_by_another_and_by_one_process(
    run_group: RunGroup, layout: ParallelConfig, name: str
) -> None:
    denoiser, case = make_denoiser(CASES[name].family), CASES[name]
    expected = denoise(denoiser, case)
    found = run_group(layout)
    assert relative_difference(found[f"{name} resumed"], expected) < TOLERANCE
    half = DenoiseState.from_bytes(found[f"half of {name}"])
    back = denoise(denoiser, case, state=half).to_bytes()
    assert relative_difference(back, expected) < TOLERANCE


@pytest.mark.parametrize("family", ["toybox", "wan", "mochi", "ltx2"])
def test_tensor_parallel_ranks_keep_half_of_the_blocks_in_memory(
    run_group: RunGroup, family: str
) -> None:
    # All but norms, and shifts and scales that are a block's own.
    assert run_group(TENSOR)[f"share of {family}"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("family", ["toybox", "wan", "mochi", "ltx2"])
def test_sequence_parallel_ranks_keep_all_of_them(run_group: RunGroup, family: str) -> None:
    assert run_group(SEQUENCE)[f"share of {family}"] == 1.0


@pytest.mark.parametrize("layout", [SEQUENCE, FIRST], ids=str)
@pytest.mark.parametrize("name", RESUMED)
def test_two_ranks_halve_the_arithmetic(
    run_group: RunGroup, layout: ParallelConfig, name: str
) -> None:
    denoiser = make_denoiser(CASES[name].family)
    with counted_products(denoiser) as products:
        denoise(denoiser, CASES[name])
    share = run_group(layout)[f"products of {name}"] / sum(products)
    # Of five frames one rank has three; text is short, but whole on both.
    assert 0.49 < share < 0.65
