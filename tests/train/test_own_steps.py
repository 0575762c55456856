"""Where own steps lead: nowhere wrong with a perfect network, and with a wrong one to its error."""

import torch
from torch import Tensor

from train.own_steps import NUM_STEPS, OwnSteps, by_frame, draw_fresh, draw_levels, make_steps

SHAPE = (3, 2, 4, 2, 2)
"""[B, C, T, H, W]"""


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Clean latents, their noise, and noise levels to go through [NUM_STEPS + 1, B, T]."""
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, *SHAPE, generator=generator)
    sigmas = draw_levels(torch.tensor([0.4, 0.7, 0.9]), 6.0, generator)
    return clean, noise, sigmas[:, :, None].repeat(1, 1, SHAPE[2])


def noised(clean: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    return (1 - by_frame(sigmas)) * clean + by_frame(sigmas) * noise


def test_a_network_that_knows_the_truth_stays_on_its_path() -> None:
    clean, noise, sigmas = drawn(0)
    steps = OwnSteps(sigmas, torch.zeros(3, 4), torch.zeros(SHAPE))
    made = make_steps(lambda *_: noise - clean, noised(clean, noise, sigmas[0]), steps)
    torch.testing.assert_close(made, noised(clean, noise, sigmas[-1]))


def test_noise_that_is_all_drawn_anew_leaves_the_estimate() -> None:
    clean, noise, sigmas = drawn(1)
    fresh = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    steps = OwnSteps(sigmas, torch.ones(3, 4), fresh)
    made = make_steps(lambda *_: noise - clean, noised(clean, noise, sigmas[0]), steps)
    torch.testing.assert_close(made, noised(clean, fresh, sigmas[-1]))


def test_a_wrong_estimate_is_carried_along() -> None:
    clean, noise, sigmas = drawn(3)
    wrong = clean + 1.0
    start = noised(clean, noise, sigmas[0])
    steps = OwnSteps(sigmas, torch.zeros(3, 4), torch.zeros(SHAPE))

    def predict(latents: Tensor, levels: Tensor) -> Tensor:
        return (latents - wrong) / by_frame(levels)

    off = make_steps(predict, start, steps) - noised(clean, noise, sigmas[-1])
    torch.testing.assert_close(off, 1.0 - by_frame(sigmas[-1] / sigmas[0]).expand(SHAPE))


def test_a_frame_whose_levels_are_all_the_same_stays() -> None:
    clean, noise, sigmas = drawn(4)
    sigmas[:, :, 0] = 0.05
    start = noised(clean, noise, sigmas[0])
    fresh = torch.ones(3, 4)
    fresh[:, 0] = 0.0
    steps = OwnSteps(sigmas, fresh, torch.randn(SHAPE))
    made = make_steps(lambda *_: torch.ones(SHAPE), start, steps)
    torch.testing.assert_close(made[:, :, 0], start[:, :, 0])
    assert not torch.allclose(made[:, :, 1], start[:, :, 1])


def test_levels_fall_to_where_they_should_and_never_pass_pure_noise() -> None:
    ends = torch.linspace(0.3, 0.999, 50)
    levels = draw_levels(ends, 6.0, torch.Generator().manual_seed(5))
    assert levels.shape == (NUM_STEPS + 1, 50)
    torch.testing.assert_close(levels[-1], ends)
    assert (levels.diff(dim=0) <= 1e-6).all()
    assert levels.max() <= 1.0


def test_for_about_every_other_clip_no_noise_is_new() -> None:
    fresh = draw_fresh(1000, torch.Generator().manual_seed(6))
    assert 0.4 < float((fresh == 0).float().mean()) < 0.6
    assert fresh.min() >= 0.0
    assert fresh.max() <= 1.0
