"""The built-in family: the seed's own architecture, at a size that a CPU can run."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.audio.audio_vae import AudioVAE, AudioVAEConfig
from telecine.engine.audio.post_sync import PostSync
from telecine.engine.dit.denoiser import DiTDenoiser
from telecine.engine.dit.model import DiT, DiTConfig
from telecine.engine.families.protocol import EncoderRole, FamilyCard, HeldPart, ImageEncoder
from telecine.engine.families.vae_image_encoder import VAEImageEncoder
from telecine.engine.offload import FULL, LoadOptions, load_network
from telecine.engine.parallel.layout import ParallelPlan
from telecine.engine.rollout import Rollout
from telecine.engine.samplers import SAMPLERS
from telecine.engine.text_encoders.projection import TextProjection, TextProjectionConfig
from telecine.engine.text_encoders.tokenizer import PromptTokenizer, load_tokenizer
from telecine.engine.vae.causal_vae import CausalVAE, CausalVAEConfig

TENSORS = "diffusion_pytorch_model.safetensors"
_TOKENS = ("input_ids", "attention_mask")
_FEATURES = ("t5_hidden_states", "clip_pooled")
_HELD_PARTS = {
    # By the sampler for previews, the decoder, and the encoder of pictures.
    "vae": HeldPart(num_copies=3, is_float32=True),
    "transformer": HeldPart(num_copies=2, is_float32=True),  # for finished pictures' sound too
    "audio_vae": HeldPart(num_copies=2, is_float32=True),
    "text_projection": HeldPart(is_float32=True),
}
_ENCODER_ROLES = (
    EncoderRole("t5_encoder", _TOKENS, _FEATURES[:1], "onnx"),
    EncoderRole("clip_encoder", _TOKENS, _FEATURES[1:], "onnx"),
    EncoderRole("text_projection", _FEATURES, ("prompt_embeds", "pooled_prompt_embeds"), "onnx"),
)


class ToyboxFamily:
    """A folder in the diffusers layout, whose model_index.json says `ToyboxPipeline`."""

    CLASS_NAME = "ToyboxPipeline"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = _read_json(folder / "model_index.json")

    @cached_property
    def card(self) -> FamilyCard:
        """Small videos: it was trained on two seconds, which a window goes on with for a minute."""
        rollout, temporal_scale = self.rollout, self._vae_config.temporal_scale
        default = self._schedule.get("default_sampler", "euler")
        return FamilyCard(
            family="toybox",
            display_name="Toybox",
            sizes=((128, 128),),
            frames_multiple=temporal_scale,
            max_num_frames=961,
            default_num_frames=33,
            fps=16,
            samplers=(default, *(name for name in SAMPLERS if name != default)),
            default_num_inference_steps=20,
            default_guidance_scale=4.0,
            default_negative_prompt="",
            max_prompt_tokens=int(self._index["max_prompt_tokens"]),
            chunk_latent_frames=rollout.chunk_frames if rollout else 0,
            features=(
                *(("IMAGE_TO_VIDEO", "EDIT", "EXTEND") if rollout else ("EDIT",)),
                *(("AUDIO_TO_VIDEO",) if self._dit_config.audio else ()),
            ),
            max_context_frames=temporal_scale * (rollout.context_frames - 1) + 1 if rollout else 0,
            # Guidance makes motion faster than the source's, which is seen where they meet.
            extend_guidance_scale=1.0 if rollout else 0.0,
            guidance_floor=float(self._schedule.get("guidance_floor", 0.0)),
            attention_strategies=("full", "causal", "window") if rollout else ("full", "window"),
            window_memory_bytes_per_megapixel=10_000_000,
            held_parts=_HELD_PARTS,
            audio_modes=("JOINT", "POST_SYNC") if self._dit_config.audio else (),
        )

    @property
    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        """DiT, VAEs, both text encoders and the projection."""
        sound = {"audio_vae": lambda: AudioVAE(self._audio_vae_config)}
        return {
            **(sound if self._has_sound else {}),
            "transformer": lambda: DiT(self._dit_config),
            "vae": lambda: CausalVAE(self._vae_config),
            "text_projection": lambda: TextProjection(self._projection_config),
            "text_encoder": self._build_text_encoder,
            "text_encoder_2": self._build_text_encoder_2,
        }

    @property
    def rollout(self) -> Rollout | None:
        """How a video is denoised chunk by chunk; None where it was not trained to be."""
        described = self._schedule.get("rollout")
        return Rollout(**described) if described else None

    @property
    def parallel_plan(self) -> ParallelPlan:
        """Along every axis; heads by layers alone, since a video is cut by frames and places.

        Sound hears frames that lie on other ranks then.
        """
        return ParallelPlan(
            num_heads=(self._dit_config.num_heads,),
            axes=frozenset({"tensor", "sequence", "guidance"}),
            silent_axes=frozenset({"sequence"}),
        )

    @property
    def encoder_roles(self) -> tuple[EncoderRole, ...]:
        """T5 and CLIP side by side, then the projection."""
        return _ENCODER_ROLES

    @property
    def conditioning(self) -> tuple[str, ...]:
        """What the DiT reads."""
        return "prompt_embeds", "attention_mask", "pooled_prompt_embeds"

    @property
    def image_conditioning(self) -> Mapping[str, int]:
        """Nothing beside the latents."""
        return {}

    def sigmas(
        self,
        sampler: str,
        num_inference_steps: int,
        latents_shape: tuple[int, ...],  # noqa: ARG002
    ) -> tuple[float, ...]:
        """The sampler's own noise levels, leaning to high noise as the network was trained."""
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler: there is no {sampler!r}")
        shifts: dict[str, float] = self._schedule.get("shift_of_samplers", {})
        shift = shifts.get(sampler, self._schedule["shift"])
        return tuple(SAMPLERS[sampler].sigmas(num_inference_steps, float(shift)))

    def latents_shape(
        self, *, num_frames: int, height: int, width: int
    ) -> tuple[int, int, int, int, int]:
        """[B, C, T, H, W] of the latents of one video, given in pixels."""
        config = self._vae_config
        scale = config.spatial_scale
        latent_frames = (num_frames - 1) // config.temporal_scale + 1
        return 1, config.latent_channels, latent_frames, height // scale, width // scale

    def audio_latents_shape(self, *, num_frames: int, fps: int) -> tuple[int, ...] | None:
        """[B, C, A] of the sound; None for a network of pictures alone."""
        audio = self._dit_config.audio
        if audio is None:
            return None
        return 1, audio.in_channels, math.ceil(num_frames * audio.latents_per_second / fps)

    def load_tokenizer(self) -> PromptTokenizer:
        """The tokenizer."""
        return load_tokenizer(self._folder)

    def load_encoder(self, role: str) -> nn.Module:
        """One of `encoder_roles`."""
        if role == "text_projection":
            return self._load_text_projection()
        # transformers takes seconds to import, and only set-up exports the encoders.
        from telecine.engine.text_encoders.encoders import (  # noqa: PLC0415
            CLIPTextEncoder,
            T5Encoder,
        )

        if role == "t5_encoder":
            return T5Encoder.from_folder(self._folder / "text_encoder")
        if role == "clip_encoder":
            return CLIPTextEncoder.from_folder(self._folder / "text_encoder_2")
        raise KeyError(role)

    def load_denoiser(self, device: torch.device, options: LoadOptions = FULL) -> DiTDenoiser:
        """The DiT."""
        return DiTDenoiser(self.load_dit(device, options))

    def load_audio_encoder(self, device: torch.device) -> AudioVAE:
        """The audio VAE."""
        return self.load_audio_vae(device)

    def load_audio_decoder(self, device: torch.device) -> AudioVAE:
        """The audio VAE."""
        return self.load_audio_vae(device)

    def load_audio_vae(self, device: torch.device) -> AudioVAE:
        """The audio VAE, in float32.

        Raises:
            ValueError: the folder has none.
        """
        if not self._has_sound:
            raise ValueError("audio_mode: this model makes silent videos")
        vae = AudioVAE(self._audio_vae_config)
        vae.load_state_dict(load_file(self._folder / "audio_vae" / TENSORS))
        return vae.to(device).eval().requires_grad_(requires_grad=False)

    def load_audio_denoiser(self, device: torch.device) -> PostSync:
        """The DiT's part for sound."""
        return PostSync(self.load_dit(device))

    def load_dit(self, device: torch.device, options: LoadOptions = FULL) -> DiT:
        """The network itself, in float32."""
        return load_network(
            lambda: DiT(self._dit_config),
            self._folder / "transformer",
            device=device,
            dtype=torch.float32,
            options=options,
        )

    def load_image_encoder(self, device: torch.device) -> ImageEncoder:
        """The VAE's encoder: the DiT reads pictures as frames that are done."""
        return VAEImageEncoder(self.load_vae(device))

    def load_vae(self, device: torch.device) -> CausalVAE:
        """The VAE, in float32."""
        vae = CausalVAE(self._vae_config)
        vae.load_state_dict(load_file(self._folder / "vae" / TENSORS))
        return vae.to(device).eval().requires_grad_(requires_grad=False)

    @cached_property
    def _schedule(self) -> dict[str, Any]:
        return _read_json(self._folder / "scheduler" / "scheduler_config.json")

    def _load_text_projection(self) -> nn.Module:
        projection = TextProjection(self._projection_config)
        projection.load_state_dict(load_file(self._folder / "text_projection" / TENSORS))
        return projection.eval()

    def _build_text_encoder(self) -> nn.Module:
        from transformers import T5Config, T5EncoderModel  # noqa: PLC0415 - as in load_encoder

        return T5EncoderModel(T5Config.from_pretrained(self._folder / "text_encoder"))

    def _build_text_encoder_2(self) -> nn.Module:
        from transformers import (  # noqa: PLC0415 - as in load_encoder
            CLIPTextConfig,
            CLIPTextModelWithProjection,
        )

        config = CLIPTextConfig.from_pretrained(self._folder / "text_encoder_2")
        return CLIPTextModelWithProjection(config)

    @cached_property
    def _dit_config(self) -> DiTConfig:
        described = _read_json(self._folder / "transformer" / "config.json")
        described["patch_size"] = tuple(described["patch_size"])
        if audio := described.get("audio"):
            described["audio"] = AudioStreamConfig(**audio)
        return DiTConfig(**described)

    @property
    def _has_sound(self) -> bool:
        return (self._folder / "audio_vae").is_dir()

    @cached_property
    def _audio_vae_config(self) -> AudioVAEConfig:
        described = _read_json(self._folder / "audio_vae" / "config.json")
        for name in ("latents_mean", "latents_std"):
            described[name] = tuple(described[name])
        return AudioVAEConfig(**described)

    @cached_property
    def _projection_config(self) -> TextProjectionConfig:
        return TextProjectionConfig(**_read_json(self._folder / "text_projection" / "config.json"))

    @cached_property
    def _vae_config(self) -> CausalVAEConfig:
        described = _read_json(self._folder / "vae" / "config.json")
        for name in ("latents_mean", "latents_std"):
            described[name] = tuple(described[name])
        return CausalVAEConfig(**described)


def save_part(module: nn.Module, config: Any, folder: Path) -> None:
    """Write one part: config.json, and its tensors in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in module.state_dict().items()}
    save_file(tensors, folder / TENSORS)


def _read_json(path: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(path.read_text())
    return described
