"""Prompt and negative prompt on two ranks (CFG parallel)."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import distributed, nn

from telecine.engine.denoise import Conditioning, Denoiser, SamplingConfig, Velocity
from telecine.engine.guidance import GuidedVelocity
from telecine.engine.latents import FinishedFrames, Latents

_AWAY, _TOWARDS = 0, 1


class GuidanceParallelDenoiser:
    """A denoiser whose negative prompt is the first rank's work and whose prompt the second's.

    Where nothing is guided, both ranks do the same.
    """

    def __init__(self, denoiser: Denoiser, group: distributed.ProcessGroup) -> None:
        self._denoiser = denoiser
        self._group = group

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks behind it."""
        return self._denoiser.networks

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> Velocity:
        """See `telecine.engine.denoise.Denoiser`."""
        begin = partial(self._denoiser.begin, negative_prompt=None, config=config, context=context)
        alone = partial(begin, prompt)
        if negative_prompt is None:
            return alone()
        is_away = distributed.get_rank(self._group) == _AWAY
        # What else steers the video, a first image say, comes with the prompt alone.
        half = partial(begin, {**prompt, **negative_prompt} if is_away else prompt)
        return GuidedVelocity(
            config, alone=alone, both=lambda: _BothVelocities(half(), self._group)
        )


class _BothVelocities:
    """This rank's half, and the other's."""

    def __init__(self, own: Velocity, group: distributed.ProcessGroup) -> None:
        self._own = own
        self._group = group

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        own = self._own(latents, sigma)
        packed = own.packed().contiguous()
        both = [torch.empty_like(packed) for _ in (_AWAY, _TOWARDS)]
        distributed.all_gather(both, packed, group=self._group)
        return own.rows(len(both)).unpacked(torch.cat(both))
