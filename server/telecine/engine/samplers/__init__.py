"""Samplers: each walks latents from noise to clean, one step at a time, from saved state."""

from telecine.engine.samplers.base import Predict, Sampler, SamplerStep, StepPlace
from telecine.engine.samplers.flow import EulerSampler, HeunSampler, RungeKuttaSampler
from telecine.engine.samplers.unipc import UniPCSampler
from telecine.engine.samplers.variance_preserving import VariancePreservingSampler

SAMPLERS: dict[str, Sampler] = {
    "euler": EulerSampler(),
    "heun": HeunSampler(),
    "rk4": RungeKuttaSampler(),
    "unipc": UniPCSampler(),
    "ddim": VariancePreservingSampler(eta=0.0),
    "ddpm": VariancePreservingSampler(eta=1.0),
}

__all__ = ["SAMPLERS", "Predict", "Sampler", "SamplerStep", "StepPlace"]
