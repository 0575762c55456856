"""What a step's timestep does to the tokens: AdaLN's shifts, scales and gates."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Modulation(NamedTuple):
    """The timesteps' features of one step, for G runs of tokens of one timestep each.

    One run is the rule. Two are where a given first frame is clean while the others are noisy.
    """

    temb: Tensor
    """[G, D]"""
    projected: Tensor
    """[G, 6, D] float32"""
    run_lengths: tuple[int, ...]
    """Tokens of each run."""


def modulated_norm(
    hidden: Tensor, shift: Tensor, scale: Tensor, *, run_lengths: tuple[int, ...], eps: float
) -> Tensor:
    """LayerNorm of [B, N, D], then times 1 + `scale` plus `shift`, each [G, D] float32.

    Modulation takes the place of the norm's own weight and bias, so that it costs no pass.
    """
    parts = [
        functional.layer_norm(run.float(), run.shape[-1:], 1.0 + scale[index], shift[index], eps)
        for index, run in enumerate(hidden.split(run_lengths, 1))
    ]
    normed = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    return normed.to(hidden.dtype)


def add_gated_(
    hidden: Tensor, update: Tensor, gate: Tensor, *, run_lengths: tuple[int, ...]
) -> None:
    """Add `update` times `gate` [G, D] to the tokens [B, N, D], in place."""
    runs = zip(hidden.split(run_lengths, 1), update.split(run_lengths, 1), strict=True)
    for index, (run, change) in enumerate(runs):
        run.addcmul_(change, gate[index])
