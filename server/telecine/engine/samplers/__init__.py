"""Samplers: each walks latents from noise to clean, one step at a time, from saved state."""

from telecine.engine.samplers.base import (
    Predict,
    Sampler,
    SamplerStep,
    StepPlace,
    flow_levels,
)
from telecine.engine.samplers.flow import EulerSampler, HeunSampler, RungeKuttaSampler
from telecine.engine.samplers.unipc import UniPCSampler
from telecine.engine.samplers.variance_preserving import (
    VariancePreservingSampler,
    cosine_levels,
)

SAMPLERS: dict[str, Sampler] = {
    "euler": EulerSampler(),
    "heun": HeunSampler(),
    "rk4": RungeKuttaSampler(),
    "unipc": UniPCSampler(),
    "ddim": VariancePreservingSampler(cosine_levels, eta=0.0),
    "ddpm": VariancePreservingSampler(cosine_levels, eta=1.0),
    "euler_ancestral": VariancePreservingSampler(flow_levels, eta=1.5, floor=0.6),
}

__all__ = ["SAMPLERS", "Predict", "Sampler", "SamplerStep", "StepPlace"]
