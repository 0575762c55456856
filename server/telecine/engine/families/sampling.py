"""What a family makes of a request: how its video is denoised."""

from typing import NamedTuple, get_args

from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import SamplingConfig
from telecine.engine.dit.attention import AttentionKind, TemporalMask
from telecine.engine.families.protocol import Family

_TEMPORAL_MASKS = {kind: TemporalMask(kind) for kind in get_args(AttentionKind)}


class VideoSize(NamedTuple):
    """A video in frames, pixels and frames a second."""

    num_frames: int
    height: int
    width: int
    fps: int


class SamplingRequest(NamedTuple):
    """What a caller chooses; `attention` is `full`, `causal` or `window`."""

    seed: int
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    attention: str
    loras: tuple[LoraUse, ...] = ()


def sampling_config(family: Family, size: VideoSize, request: SamplingRequest) -> SamplingConfig:
    """Return how a video is denoised; cut into chunks for `causal` attention alone.

    Raises:
        ValueError: there is no such sampler or attention.
    """
    if request.attention not in _TEMPORAL_MASKS:
        raise ValueError(f"attention: there is no {request.attention!r}")
    num_frames, height, width, fps = size
    shape = family.latents_shape(num_frames=num_frames, height=height, width=width)
    return SamplingConfig(
        seed=request.seed,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        sampler=request.sampler,
        sigmas=family.sigmas(request.sampler, request.num_inference_steps, shape),
        latents_shape=shape,
        audio_latents_shape=family.audio_latents_shape(num_frames=num_frames, fps=fps),
        fps=fps,
        loras=request.loras,
        temporal_mask=_TEMPORAL_MASKS[request.attention],
        rollout=family.rollout if request.attention == "causal" else None,
    )
