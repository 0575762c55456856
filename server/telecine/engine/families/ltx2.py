"""LTX-2.0 and 2.3: a video and its sound, denoised jointly."""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn

from telecine.engine.families.protocol import EncoderRole, FamilyCard, HeldPart
from telecine.engine.ltx2.config import LTX2Config
from telecine.engine.ltx2.connectors import (
    Connectors,
    ConnectorsConfig,
    TextFeatures,
    build_connectors,
    load_connectors,
)
from telecine.engine.ltx2.denoiser import LTX2Denoiser
from telecine.engine.ltx2.guidance import LTX2Guidance
from telecine.engine.ltx2.schedule import noise_levels
from telecine.engine.ltx2.tokenizer import MAX_PROMPT_TOKENS, GemmaTokenizer, load_tokenizer
from telecine.engine.ltx2.transformer import LTX2Transformer
from telecine.engine.offload import FULL, LoadOptions, default_dtype, load_network
from telecine.engine.parallel.layout import ParallelPlan

if TYPE_CHECKING:
    from telecine.engine.ltx2.audio_decoder import LTX2AudioDecoder
    from telecine.engine.ltx2.video_vae import LTX2VideoVAE

_FEATURES = ("video_text_features", "audio_text_features")
_CONDITIONING = ("prompt_embeds", "audio_prompt_embeds")
_ENCODER_ROLES = (
    EncoderRole("gemma_encoder", ("input_ids", "attention_mask"), _FEATURES, "torch"),
    EncoderRole("connectors", (*_FEATURES, "attention_mask"), _CONDITIONING, "torch"),
)
_NEGATIVE_PROMPT = "worst quality, inconsistent motion, blurry, jittery, distorted"
_AUDIO_SCALE = 4
"""Spectrogram frames and mel bins that an audio latent stands for, each."""
_LIBRARY_PARTS = ("text_encoder", "vae", "audio_vae", "vocoder")
_SAMPLERS = ("euler", "heun", "rk4", "unipc")


class LTX2Family:
    """A folder that diffusers' LTX2Pipeline reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = _read_json(folder / "model_index.json")

    @property
    def card(self) -> FamilyCard:
        """What the authors recommend; 20 seconds are what positions reach."""
        return FamilyCard(
            family="ltx2",
            display_name="LTX-2",
            sizes=((768, 512), (512, 768), (1280, 704), (704, 1280), (1920, 1088)),
            frames_multiple=self._scales()[0],
            max_num_frames=481,
            default_num_frames=121,
            fps=24,
            samplers=_SAMPLERS,
            default_num_inference_steps=30,
            default_guidance_scale=3.0,
            default_negative_prompt=_NEGATIVE_PROMPT,
            max_prompt_tokens=MAX_PROMPT_TOKENS,
            audio_modes=("JOINT",),
            is_sound_always_denoised=True,
            # The decoder takes the whole video at once.
            memory_bytes_per_megapixel=200_000_000,
            held_parts={
                "vae": HeldPart(num_copies=2),  # by the sampler, for previews, too
                "connectors": HeldPart(num_copies=2, is_float32=True),  # by both encoders
                "audio_vae": HeldPart(is_float32=True),
                "vocoder": HeldPart(is_float32=True),
            },
        )

    @property
    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        """All six; diffusers' and transformers' are imported when they are built."""
        return {
            "transformer": lambda: LTX2Transformer(self._transformer_config()),
            "connectors": lambda: build_connectors(self._connectors_config()),
            **{part: partial(self._build, part) for part in _LIBRARY_PARTS},
        }

    @property
    def rollout(self) -> None:
        """None: every frame attends to all others."""
        return

    @property
    def parallel_plan(self) -> ParallelPlan:
        """Along every axis; where tokens are shared, attention is by heads (Ulysses)."""
        config = self._transformer_config()
        return ParallelPlan(
            num_heads=(config.num_attention_heads, config.audio_num_attention_heads),
            axes=frozenset({"tensor", "sequence", "guidance"}),
            head_axes=frozenset({"tensor", "sequence"}),
        )

    @property
    def encoder_roles(self) -> tuple[EncoderRole, ...]:
        """Gemma, with what narrows its layers to features, then both connectors."""
        return _ENCODER_ROLES

    @property
    def conditioning(self) -> tuple[str, ...]:
        """No mask: where the prompt has no token, connectors put learned ones."""
        return _CONDITIONING

    def sigmas(
        self, sampler: str, num_inference_steps: int, latents_shape: tuple[int, ...]
    ) -> tuple[float, ...]:
        """Noise levels that lean the more to high noise the more tokens a video has."""
        if sampler not in _SAMPLERS:
            raise ValueError(f"sampler: LTX-2 has no {sampler!r}")
        config = _read_json(self._folder / "scheduler" / "scheduler_config.json")
        num_tokens = math.prod(latents_shape[2:])
        levels = noise_levels(config, num_inference_steps, num_tokens=num_tokens)
        # Rounded as a scheduler keeps them, so that the network sees the same.
        return (*torch.tensor(levels, dtype=torch.float32).tolist(), 0.0)

    def latents_shape(
        self, *, num_frames: int, height: int, width: int
    ) -> tuple[int, int, int, int, int]:
        """[B, C, T, H, W] of the latents of one video, given in pixels."""
        time, space = self._scales()
        channels = int(_read_json(self._folder / "vae" / "config.json")["latent_channels"])
        return 1, channels, (num_frames - 1) // time + 1, height // space, width // space

    def audio_latents_shape(self, *, num_frames: int, fps: int) -> tuple[int, int, int, int]:
        """[B, C, T, M] of the sound that is as long as the video."""
        config = _read_json(self._folder / "audio_vae" / "config.json")
        rate = config["sample_rate"] / config["mel_hop_length"] / _AUDIO_SCALE
        bins = config["mel_bins"] // _AUDIO_SCALE
        return 1, config["latent_channels"], round(num_frames / fps * rate), bins

    def load_tokenizer(self) -> GemmaTokenizer:
        """The tokenizer."""
        return load_tokenizer(self._folder)

    def load_encoder(self, role: str) -> nn.Module:
        """One of `encoder_roles`, in the dtype of its files."""
        config, folder = self._connectors_config(), self._folder / "connectors"
        if role == "gemma_encoder":
            from telecine.engine.ltx2.library_parts import load_gemma  # noqa: PLC0415
            from telecine.engine.ltx2.text_encoder import GemmaEncoder  # noqa: PLC0415

            gemma = load_gemma(self._folder, class_name=self._class_name("text_encoder"))
            return GemmaEncoder(gemma, load_connectors(TextFeatures, config, folder)).eval()
        if role == "connectors":
            return load_connectors(Connectors, config, folder)
        raise KeyError(role)

    def load_denoiser(
        self,
        device: torch.device,
        options: LoadOptions = FULL,
        *,
        guidance: LTX2Guidance | None = None,
    ) -> LTX2Denoiser:
        """The joint transformer; `guidance` where it is not to be the authors'."""
        config = self._transformer_config()
        transformer = load_network(
            lambda: LTX2Transformer(config),
            self._folder / "transformer",
            device=device,
            options=options,
        )
        return LTX2Denoiser(transformer, guidance)

    def load_vae(self, device: torch.device) -> "LTX2VideoVAE":
        """The video VAE."""
        from telecine.engine.ltx2.video_vae import LTX2VideoVAE  # noqa: PLC0415

        return LTX2VideoVAE(self._load("vae", device, default_dtype(device)))

    def load_audio_encoder(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """Its sound is made, never given."""
        raise ValueError("given_audio_latents: LTX-2 makes no picture to a sound")

    def load_audio_decoder(self, device: torch.device) -> "LTX2AudioDecoder":
        """The audio VAE and the vocoder, which are small: in float32 everywhere."""
        from telecine.engine.ltx2.audio_decoder import LTX2AudioDecoder  # noqa: PLC0415

        vae, vocoder = (
            self._load(part, device, torch.float32) for part in ("audio_vae", "vocoder")
        )
        return LTX2AudioDecoder(vae, vocoder)

    def load_audio_denoiser(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """Its sound is denoised along with the picture alone."""
        raise ValueError("audio_mode: LTX-2 makes no sound for a finished picture")

    def _load(self, part: str, device: torch.device, dtype: torch.dtype) -> Any:
        # diffusers takes seconds to import, and the denoiser's process does without it.
        from telecine.engine.ltx2.library_parts import load_part  # noqa: PLC0415

        return load_part(
            self._folder, part, class_name=self._class_name(part), device=device, dtype=dtype
        )

    def _build(self, part: str) -> nn.Module:
        from telecine.engine.ltx2.library_parts import build_part  # noqa: PLC0415 - as in _load

        return build_part(self._folder, part, class_name=self._class_name(part))

    def _class_name(self, part: str) -> str:
        """The class that model_index.json names: `"vocoder": ["ltx2", "LTX2Vocoder"]`."""
        name: str = self._index[part][1]
        return name

    def _transformer_config(self) -> LTX2Config:
        return LTX2Config.from_json(_read_json(self._folder / "transformer" / "config.json"))

    def _connectors_config(self) -> ConnectorsConfig:
        return ConnectorsConfig.from_json(_read_json(self._folder / "connectors" / "config.json"))

    def _scales(self) -> tuple[int, int]:
        """Frames, and pixels of a side, that a latent stands for."""
        config = _read_json(self._folder / "vae" / "config.json")
        halvings = 2 ** sum(config["spatio_temporal_scaling"])
        return (
            config.get("temporal_compression_ratio") or config["patch_size_t"] * halvings,
            config.get("spatial_compression_ratio") or config["patch_size"] * halvings,
        )


def _read_json(path: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(path.read_text())
    return described
