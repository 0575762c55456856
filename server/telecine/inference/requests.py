"""What the callers of Triton's models hand over and get back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class PromptEmbeds:
    """An encoded prompt: L tokens of width D, and one pooled vector of width P."""

    prompt_embeds: NDArray[np.float32]
    """[L, D]"""
    pooled_prompt_embeds: NDArray[np.float32]
    """[P]"""
    attention_mask: NDArray[np.int64]
    """[L], nonzero for real tokens."""
    num_tokens: int
    is_truncated: bool
    """Whether the prompt was longer than the model reads."""


@dataclass(frozen=True)
class SliceRequest:
    """A run of denoising steps from one state to the next.

    Attributes:
        negative_prompt: what to steer away from; None samples without guidance.
        attention: `full`, `causal` or `window`, in time.
        state: what the slice before returned; empty to start from noise.
        num_steps: steps in this slice.
        preview_steps: steps, counted from 1, whose result carries a preview image.
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


@dataclass(frozen=True)
class StepResult:
    """A step that the device has finished.

    Attributes:
        step_index: steps done, this one included.
        sigma: the noise level that is left.
        preview: an image of the clean video as now estimated; empty without one.
        state: where the next slice starts; in a slice's last result only.
    """

    step_index: int
    sigma: float
    step_seconds: float
    preview: bytes
    preview_content_type: str
    state: bytes | None
