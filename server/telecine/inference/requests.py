"""What the callers of Triton's models hand over and get back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEARD_SAMPLE_RATE = 16_000
"""Samples a second of the sound that a picture is made to, as every model's encoder takes it."""


@dataclass(frozen=True)
class PromptEmbeds:
    """An encoded prompt.

    Attributes:
        tensors: what the model's sampler reads, by the model's own names, such as
            `prompt_embeds` [L, D] and `attention_mask` [L].
        num_tokens: tokens of the whole prompt.
        max_tokens: tokens that the model reads.
        is_truncated: whether the prompt was longer than that.
    """

    tensors: Mapping[str, Array]
    num_tokens: int
    max_tokens: int
    is_truncated: bool


@dataclass(frozen=True)
class EncodedImages:
    """Pictures as a sampler reads them.

    Attributes:
        latents: of all frames, [C, T', H', W'].
        conditioning: what the model's sampler reads of the first one beside them, by its own names.
    """

    latents: Array
    conditioning: Mapping[str, Array]


@dataclass(frozen=True)
class ClipInputs:
    """What a video is made from beside its prompt.

    Attributes:
        conditioning: as in `EncodedImages`.
        given_latents: of the frames that it begins with, [C, T, H, W].
        source_latents: of the whole video that it changes, [C, T, H, W].
        strength: the share of the steps that is done on that.
        given_audio_latents: of the sound that its picture is made to, [C, A].
    """

    conditioning: Mapping[str, Array] = field(default_factory=dict)
    given_latents: Array | None = None
    source_latents: Array | None = None
    strength: float = 1.0
    given_audio_latents: Array | None = None


class LoraScale(NamedTuple):
    """An adapter by its name, and how strongly it acts: 1 as it was trained, 0 not at all."""

    name: str
    scale: float


@dataclass(frozen=True)
class SliceRequest:
    """A run of denoising steps from one state to the next.

    Attributes:
        negative_prompt: what to steer away from; None samples without guidance.
        attention: `full`, `causal` or `window`, in time; a `causal` video is made chunk by
            chunk where the model can, each in num_inference_steps of its own.
        state: what the slice before returned; empty to start from noise.
        num_steps: steps in this slice, at most: it ends where a chunk ends.
        preview_steps: steps, counted from 1, whose result carries a preview image.
        loras: adapters of the model's `loras` folder.
        inputs: what it is made from beside the prompt; None for noise alone.
        audio_mode: `JOINT` where sound is denoised along with the picture.
    """

    prompt: PromptEmbeds
    negative_prompt: PromptEmbeds | None
    seed: int
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    num_frames: int
    height: int
    width: int
    fps: int
    attention: str
    state: bytes
    num_steps: int
    preview_steps: tuple[int, ...] = ()
    loras: tuple[LoraScale, ...] = ()
    inputs: ClipInputs | None = None
    audio_mode: str = "NONE"


@dataclass(frozen=True)
class StepResult:
    """A step that the device has finished.

    Attributes:
        step_index: steps done, this one included.
        sigma: the noise level that is left.
        num_final_frames: latent frames that no later step changes.
        is_numerics_changed: whether another kind of machine, or another version, made the
            state that the slice began with: its bits may differ from an undisturbed run's.
        preview: an image of the clean video as now estimated; empty without one.
        state: where the next slice starts; in a slice's last result only.
    """

    step_index: int
    sigma: float
    step_seconds: float
    num_final_frames: int
    is_numerics_changed: bool
    preview: bytes
    preview_content_type: str
    state: bytes | None


@dataclass(frozen=True)
class DecodeRequest:
    """A run of latent frames to decode, `first_latent_frame` to `end_latent_frame` - 1.

    Attributes:
        height: of the frames, in pixels; like `width`.
        has_more: whether the clip goes on after them.
        feat_cache: what the decoder remembered of the frames before; empty at the clip's start.
    """

    state: bytes
    height: int
    width: int
    first_latent_frame: int
    end_latent_frame: int
    has_more: bool = False
    feat_cache: bytes = b""


class DecodedFrames(NamedTuple):
    """Frames of a video; or, after the last ones of a run, what the next run needs."""

    frames: NDArray[np.uint8]
    """[n, H, W, 3]"""
    feat_cache: bytes = b""


class DecodedSound(NamedTuple):
    """The whole sound of a video, as its model gives it."""

    samples: NDArray[np.float32]
    """[channels, n], in about -1 to 1."""
    sample_rate: int
