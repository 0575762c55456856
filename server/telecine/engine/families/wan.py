"""Wan 2.1 and 2.2: text to video and image to video, with one transformer or two experts."""

import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn

from telecine.engine.families.protocol import (
    EncoderRole,
    FamilyCard,
    HeldPart,
    ImageEncoder,
    pass_bytes_per_megapixel,
)
from telecine.engine.families.vae_image_encoder import VAEImageEncoder
from telecine.engine.offload import FULL, LoadOptions, load_network
from telecine.engine.parallel.layout import ParallelPlan
from telecine.engine.samplers import SAMPLERS
from telecine.engine.wan.cards import limits_of
from telecine.engine.wan.config import WanConfig
from telecine.engine.wan.denoiser import WanDenoiser
from telecine.engine.wan.job import WanExperts
from telecine.engine.wan.model import FLOAT32_PARTS, WanTransformer
from telecine.engine.wan.schedule import WanSchedule
from telecine.engine.wan.tokenizer import MAX_PROMPT_TOKENS, UMT5Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from telecine.engine.vae.wan_vae import WanVAE

_TEXT_ENCODER = EncoderRole(
    "t5_encoder", ("input_ids", "attention_mask"), ("prompt_embeds",), "onnx"
)


class WanFamily:
    """A folder whose model_index.json says `WanPipeline` or `WanImageToVideoPipeline`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = _read_json(folder / "model_index.json")
        self._is_image_pipeline = self._index["_class_name"] == "WanImageToVideoPipeline"
        self._boundary_ratio: float | None = self._index.get("boundary_ratio")
        self._is_frame_wise = bool(self._index.get("expand_timesteps"))

    @property
    def card(self) -> FamilyCard:
        """Of the published model that the transformer has the width of."""
        is_image_required = self._is_image_pipeline and not self._is_frame_wise
        is_2_2 = self._boundary_ratio is not None or self._is_frame_wise
        takes_frame = is_image_required or self._is_frame_wise
        limits = limits_of(
            self._config("transformer").width, is_2_2=is_2_2, is_image_required=is_image_required
        )
        default = self._schedule.default_sampler
        return FamilyCard(
            family="wan",
            display_name=limits.display_name,
            sizes=limits.sizes,
            frames_multiple=self._vae_config["scale_factor_temporal"],
            max_num_frames=limits.max_num_frames,
            default_num_frames=limits.max_num_frames,
            fps=limits.fps,
            samplers=(default, *(name for name in SAMPLERS if name != default)),
            default_num_inference_steps=limits.num_inference_steps,
            default_guidance_scale=limits.guidance_scale,
            default_negative_prompt=limits.default_negative_prompt,
            max_prompt_tokens=MAX_PROMPT_TOKENS,
            features=("IMAGE_TO_VIDEO", "EDIT", "EXTEND") if takes_frame else ("EDIT",),
            is_image_required=is_image_required,
            max_context_frames=1 if takes_frame else 0,
            memory_bytes_per_megapixel=self._pass_bytes_per_megapixel(),
            held_parts={
                # By the sampler for previews, the decoder, and the encoder of pictures.
                "vae": HeldPart(num_copies=3, is_float32=True),
                "image_encoder": HeldPart(is_float32=True),
            },
        )

    def _pass_bytes_per_megapixel(self) -> int:
        transformer, vae = self._config("transformer"), self._vae_config
        pixels_per_latent = vae["scale_factor_temporal"] * vae["scale_factor_spatial"] ** 2
        return pass_bytes_per_megapixel(
            width=transformer.width,
            pixels_per_token=pixels_per_latent * math.prod(transformer.patch_size),
        )

    @property
    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        """Transformers, VAE, UMT5 and, in Wan 2.1 I2V, CLIP."""
        builders: dict[str, Callable[[], nn.Module]] = {
            part: partial(self._build_transformer, part) for part in self._transformers
        }
        builders |= {"vae": self._build_vae, "text_encoder": self._build_text_encoder}
        if self._has_part("image_encoder"):
            builders["image_encoder"] = self._build_image_encoder
        return builders

    @property
    def rollout(self) -> None:
        """Every video is made whole."""
        return

    @property
    def parallel_plan(self) -> ParallelPlan:
        """Along every axis; where tokens are shared, attention is by heads (Ulysses)."""
        return ParallelPlan(
            num_heads=(self._config("transformer").num_attention_heads,),
            axes=frozenset({"tensor", "sequence", "guidance"}),
            head_axes=frozenset({"tensor", "sequence"}),
        )

    @property
    def encoder_roles(self) -> tuple[EncoderRole, ...]:
        """UMT5 alone."""
        return (_TEXT_ENCODER,)

    @property
    def conditioning(self) -> tuple[str, ...]:
        """What the transformer reads of a prompt."""
        return ("prompt_embeds",)

    @property
    def image_conditioning(self) -> Mapping[str, int]:
        """Of a first frame; nothing where the transformer knows none."""
        if not (self._is_image_pipeline or self._is_frame_wise):
            return {}
        has_clip = self._has_part("image_encoder")
        return {"image_latents": 4} | ({"image_embeds": 2} if has_clip else {})

    def sigmas(
        self,
        sampler: str,
        num_inference_steps: int,
        latents_shape: tuple[int, ...],  # noqa: ARG002
    ) -> tuple[float, ...]:
        """Noise levels from 1 to 0 by the folder's shift, as diffusers spaces them."""
        return self._schedule.sigmas(sampler, num_inference_steps)

    def latents_shape(
        self, *, num_frames: int, height: int, width: int
    ) -> tuple[int, int, int, int, int]:
        """[B, C, T, H, W] of the latents of one video, given in pixels."""
        config = self._vae_config
        scale = config["scale_factor_spatial"]
        latent_frames = (num_frames - 1) // config["scale_factor_temporal"] + 1
        return 1, config["z_dim"], latent_frames, height // scale, width // scale

    def audio_latents_shape(self, *, num_frames: int, fps: int) -> None:  # noqa: ARG002
        """No sound."""
        return

    def load_tokenizer(self) -> UMT5Tokenizer:
        """The tokenizer."""
        return load_tokenizer(self._folder)

    def load_encoder(self, role: str) -> nn.Module:
        """UMT5."""
        if role != _TEXT_ENCODER.name:
            raise KeyError(role)
        # transformers takes seconds to import, and only set-up exports the encoder.
        from telecine.engine.text_encoders.umt5 import UMT5Encoder  # noqa: PLC0415

        return UMT5Encoder.from_folder(self._folder / "text_encoder")

    def load_denoiser(self, device: torch.device, options: LoadOptions = FULL) -> WanDenoiser:
        """One transformer, or both experts."""
        networks = {
            part: load_network(
                partial(WanTransformer, self._config(part)),
                self._folder / part,
                device=device,
                options=options,
                float32=FLOAT32_PARTS,
            )
            for part in self._transformers
        }
        return WanDenoiser(
            WanExperts(
                networks=networks,
                schedule=self._schedule,
                boundary_ratio=self._boundary_ratio,
                is_frame_wise=self._is_frame_wise,
            )
        )

    def load_vae(self, device: torch.device) -> "WanVAE":
        """The VAE, in float32."""
        from telecine.engine.vae.wan_vae import WanVAE  # noqa: PLC0415 - diffusers, seconds too

        return WanVAE.from_folder(self._folder / "vae", device)

    def load_image_encoder(self, device: torch.device) -> ImageEncoder:
        """The VAE's encoder and, in Wan 2.1 I2V, CLIP."""
        vae = self.load_vae(device)
        if not self.image_conditioning:
            return VAEImageEncoder(vae)
        from telecine.engine.wan.image_encoder import (  # noqa: PLC0415 - transformers
            ClipVision,
            WanImageEncoder,
        )

        has_clip = "image_embeds" in self.image_conditioning
        return WanImageEncoder(
            vae,
            temporal_scale=self._vae_config["scale_factor_temporal"],
            is_frame_wise=self._is_frame_wise,
            clip=ClipVision.from_folder(self._folder, device) if has_clip else None,
        )

    def load_audio_encoder(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """No sound."""
        raise ValueError("audio_mode: this model makes silent videos")

    def load_audio_decoder(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """No sound."""
        raise ValueError("audio_mode: this model makes silent videos")

    def load_audio_denoiser(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """No sound."""
        raise ValueError("audio_mode: this model makes silent videos")

    @property
    def _transformers(self) -> tuple[str, ...]:
        parts = ("transformer", "transformer_2")
        return tuple(part for part in parts if self._has_part(part))

    @cached_property
    def _schedule(self) -> WanSchedule:
        return WanSchedule.from_file(self._folder / "scheduler" / "scheduler_config.json")

    @cached_property
    def _vae_config(self) -> dict[str, Any]:
        # Folders that were written before these keys are all of the 4 x 8 x 8 kind.
        defaults = {"z_dim": 16, "scale_factor_temporal": 4, "scale_factor_spatial": 8}
        return defaults | _read_json(self._folder / "vae" / "config.json")

    def _config(self, part: str) -> WanConfig:
        return WanConfig.from_file(self._folder / part / "config.json")

    def _has_part(self, part: str) -> bool:
        return bool((self._index.get(part) or [None])[0])

    def _build_transformer(self, part: str) -> nn.Module:
        return WanTransformer(self._config(part))

    def _build_vae(self) -> nn.Module:
        from telecine.engine.vae.wan_vae import build_network  # noqa: PLC0415 - as in load_vae

        return build_network(self._folder / "vae")

    def _build_text_encoder(self) -> nn.Module:
        from transformers import UMT5Config, UMT5EncoderModel  # noqa: PLC0415 - as in load_encoder

        return UMT5EncoderModel(UMT5Config.from_pretrained(self._folder / "text_encoder"))

    def _build_image_encoder(self) -> nn.Module:
        from transformers import CLIPVisionConfig, CLIPVisionModel  # noqa: PLC0415 - the same

        return CLIPVisionModel(CLIPVisionConfig.from_pretrained(self._folder / "image_encoder"))


def _read_json(path: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(path.read_text())
    return described
