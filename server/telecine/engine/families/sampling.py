"""What a family makes of a request: how its video is denoised."""

from typing import Literal, NamedTuple, get_args

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
    given_latent_frames: int = 0
    """Latent frames that the video begins with, where it is not made from noise alone."""
    strength: float = 1.0
    """The share of the steps that is done, where another video is changed."""
    audio_mode: Literal["NONE", "JOINT", "POST_SYNC"] = "NONE"
    is_audio_given: bool = False
    """Whether the picture is made to a sound that is there."""


def sampling_config(family: Family, size: VideoSize, request: SamplingRequest) -> SamplingConfig:
    """Return how a video is denoised; cut into chunks for `causal` attention alone.

    Raises:
        ValueError: there is no such sampler, attention or sound.
    """
    if request.attention not in _TEMPORAL_MASKS:
        raise ValueError(f"attention: there is no {request.attention!r}")
    if not 0.0 < request.strength <= 1.0:
        raise ValueError(f"strength: {request.strength} is not more than 0 and at most 1")
    num_frames, height, width, fps = size
    rollout = family.rollout if request.attention == "causal" else None
    shape = family.latents_shape(num_frames=num_frames, height=height, width=width)
    return SamplingConfig(
        seed=request.seed,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        sampler=request.sampler,
        sigmas=family.sigmas(request.sampler, request.num_inference_steps, shape),
        latents_shape=shape,
        audio_latents_shape=_audio_latents_shape(family, size, request),
        is_audio_given=request.is_audio_given,
        fps=fps,
        loras=request.loras,
        temporal_mask=_TEMPORAL_MASKS[request.attention],
        rollout=rollout,
        # A network without a rollout learns of given frames by its conditioning.
        given_frames=request.given_latent_frames if rollout else 0,
        start_step=_start_step(request),
        guidance_floor=family.card.guidance_floor,
    )


def _audio_latents_shape(
    family: Family, size: VideoSize, request: SamplingRequest
) -> tuple[int, ...] | None:
    card, mode = family.card, request.audio_mode
    if mode not in ("NONE", *card.audio_modes):
        raise ValueError(f"audio_mode: {card.display_name} has no {mode!r}")
    if request.is_audio_given and (mode != "JOINT" or "AUDIO_TO_VIDEO" not in card.features):
        raise ValueError(f"given_audio_latents: {card.display_name} makes no picture to a sound")
    if mode == "JOINT" and (request.attention != "full" or request.strength < 1.0):
        raise ValueError("audio_mode: JOINT is for videos of full attention, made from noise")
    if mode == "NONE" and not card.is_sound_always_denoised:
        return None
    return family.audio_latents_shape(num_frames=size.num_frames, fps=size.fps)


def _start_step(request: SamplingRequest) -> int:
    """The steps before the first one that is done; as diffusers counts them, but at least one."""
    num_steps = int(request.num_inference_steps * request.strength)
    return request.num_inference_steps - max(1, num_steps)
