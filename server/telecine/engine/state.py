"""All that a slice needs to go on where the one before it stopped."""

import json
from dataclasses import dataclass, field
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from telecine.errors import CheckpointError

_FORMAT = "telecine.denoise_state/1"
_SAMPLER_PREFIX = "sampler_state."


@dataclass(frozen=True)
class DenoiseState:
    """The state between two slices. It travels, and is stored, as safetensors bytes.

    The random generator needs no place of its own: noise is a function of `seed`
    and `step_index` (telecine.engine.noise).
    """

    latents: Tensor
    """[B, C, T, H, W] float32"""
    step_index: int
    """Steps done."""
    seed: int
    sampler: str
    num_inference_steps: int
    sampler_state: dict[str, Tensor] = field(default_factory=dict)
    """What the sampler remembers of earlier steps, by name."""
    audio_latents: Tensor | None = None
    """[B, C, T] float32, where sound is denoised along."""
    numerics: str = ""
    """What made it, once a slice is done: only there does going on give the same bits."""

    def to_bytes(self) -> bytes:
        """Serialise; the same state gives the same bytes."""
        tensors = {"latents": self.latents}
        if self.audio_latents is not None:
            tensors["audio_latents"] = self.audio_latents
        for name, value in self.sampler_state.items():
            tensors[_SAMPLER_PREFIX + name] = value
        described = {
            "format": _FORMAT,
            "step_index": self.step_index,
            "seed": self.seed,
            "sampler": self.sampler,
            "num_inference_steps": self.num_inference_steps,
            "numerics": self.numerics,
        }
        on_cpu = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        # One entry only: safetensors writes several in an order of its own.
        return save_tensors(on_cpu, {"state": json.dumps(described)})

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device | None = None) -> Self:
        """Undo `to_bytes`.

        Raises:
            CheckpointError: the bytes are not a whole state of this format.
        """
        try:
            tensors = load_tensors(data)
            metadata = _read_metadata(data)
            described = json.loads(metadata["state"])
            found_format = described.pop("format")
            if found_format != _FORMAT:
                raise CheckpointError(f"state: unknown format {found_format!r}")
            tensors = {name: value.to(device or "cpu") for name, value in tensors.items()}
            return cls(
                latents=tensors.pop("latents"),
                audio_latents=tensors.pop("audio_latents", None),
                sampler_state={k.removeprefix(_SAMPLER_PREFIX): v for k, v in tensors.items()},
                **described,
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"state: not a denoise state: {error}") from error


def _read_metadata(data: bytes) -> dict[str, str]:
    """The string map in a safetensors header (length as 8 bytes, then JSON)."""
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return metadata
