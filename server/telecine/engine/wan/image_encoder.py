"""What Wan reads of a first frame: its latents with a mask or alone, and CLIP's features of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from telecine.engine.families.vae_image_encoder import EncodingVAE

_FEATURES_LAYER = -2
"""The last layer of CLIP but one, as the network was trained."""


class ClipVision:
    """transformers' CLIP with the folder's own preparation of pictures."""

    def __init__(self, network: CLIPVisionModel, processor: CLIPImageProcessorPil) -> None:
        self._network, self._processor = network, processor

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> Self:
        """Read `image_encoder/` and `image_processor/`, in float32."""
        network: Any = CLIPVisionModel.from_pretrained(
            folder / "image_encoder",
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
        )
        processor = CLIPImageProcessorPil.from_pretrained(
            folder / "image_processor", local_files_only=True
        )
        frozen = network.to(device).eval().requires_grad_(requires_grad=False)
        return cls(frozen, processor)

    def features(self, frame: Tensor) -> Tensor:
        """A frame [3, H, W] in [-1, 1] -> [1, patches + 1, D]."""
        pixels = (frame + 1.0).mul(127.5).round().clamp(0, 255).byte()
        picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
        prepared = self._processor(images=picture, return_tensors="pt").to(frame.device)
        states = self._network(**prepared, output_hidden_states=True).hidden_states
        features: Tensor = states[_FEATURES_LAYER]
        return features


class WanImageEncoder:
    """See `telecine.engine.families.protocol.ImageEncoder`.

    Args:
        vae: frames to latents.
        temporal_scale: frames that a latent frame stands for.
        is_frame_wise: whether the first frame's latents take the first latent frame's place, and
            do not lie beside all of them with a mask.
        clip: what gives `image_embeds`, where the network reads them.
    """

    def __init__(
        self,
        vae: EncodingVAE,
        *,
        temporal_scale: int,
        is_frame_wise: bool,
        clip: ClipVision | None = None,
    ) -> None:
        self._vae = vae
        self._temporal_scale = temporal_scale
        self._is_frame_wise = is_frame_wise
        self._clip = clip

    @torch.no_grad()
    def encode(self, frames: Tensor, *, num_frames: int) -> Mapping[str, Tensor]:
        """Frames [1, 3, T, H, W] in [-1, 1] -> `latents`, `image_latents`, `image_embeds`."""
        first = frames[:, :, :1]
        encoded = {
            "latents": self._vae.encode(frames),
            "image_latents": (
                self._vae.encode(first)
                if self._is_frame_wise
                else self._with_mask(first, num_frames)
            ),
        }
        if self._clip is not None:
            encoded["image_embeds"] = self._clip.features(first[0, :, 0])
        return encoded

    def _with_mask(self, first: Tensor, num_frames: int) -> Tensor:
        """[1, 3, 1, H, W] -> [1, 4 + C, T', H', W']: which frames are given, and a gray rest."""
        batch, channels, _, height, width = first.shape
        rest = first.new_zeros(batch, channels, num_frames - 1, height, width)
        latents = self._vae.encode(torch.cat((first, rest), 2))
        shape = (batch, self._temporal_scale, *latents.shape[2:])
        mask = latents.new_zeros(shape)
        mask[:, :, 0] = 1.0
        return torch.cat((mask, latents), 1)
