"""Prompt and negative prompt on two ranks (CFG parallel)."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import distributed, nn

from telecine.engine.denoise import Conditioning, Denoiser, SamplingConfig, Velocity
from telecine.engine.latents import FinishedFrames, Latents

_AWAY, _TOWARDS = 0, 1


class GuidanceParallelDenoiser:
    """A denoiser whose negative prompt is the first rank's work and whose prompt the second's.

    Without a negative prompt, or at a scale of 1 that makes it one, both ranks do the same.
    """

    def __init__(self, denoiser: Denoiser, group: distributed.ProcessGroup) -> None:
        self._denoiser = denoiser
        self._group = group

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks behind it."""
        return cast(Mapping[str, nn.Module], getattr(self._denoiser, "networks", {}))

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> Velocity:
        """See `telecine.engine.denoise.Denoiser`."""
        if negative_prompt is None or config.guidance_scale == 1.0:
            return self._denoiser.begin(prompt, None, config, context=context)
        if distributed.get_rank(self._group) == _AWAY:
            # What else steers the video, a first image say, comes with the prompt alone.
            prompt = {**prompt, **negative_prompt}
        own = self._denoiser.begin(prompt, None, config, context=context)
        return _GuidedVelocity(own, self._group, config)


class _GuidedVelocity:
    """This rank's half, and the other's."""

    def __init__(
        self, own: Velocity, group: distributed.ProcessGroup, config: SamplingConfig
    ) -> None:
        self._own = own
        self._group = group
        self._config = config

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        own = self._own(latents, sigma)
        packed = own.packed().contiguous()
        both = [torch.empty_like(packed) for _ in (_AWAY, _TOWARDS)]
        distributed.all_gather(both, packed, group=self._group)
        away, towards = both
        return own.unpacked(away + self._config.guidance_at(sigma) * (towards - away))
