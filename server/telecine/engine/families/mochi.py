"""Mochi 1: text to video."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from torch import nn

from telecine.engine.families.protocol import (
    EncoderRole,
    FamilyCard,
    HeldPart,
    pass_bytes_per_megapixel,
)
from telecine.engine.mochi.denoiser import MochiDenoiser
from telecine.engine.mochi.model import MochiConfig, MochiTransformer
from telecine.engine.mochi.schedule import linear_quadratic_sigmas
from telecine.engine.mochi.tokenizer import MAX_PROMPT_TOKENS, MochiTokenizer, load_tokenizer
from telecine.engine.mochi.video_decoder import MochiVAEConfig, MochiVideoDecoder
from telecine.engine.offload import FULL, LoadOptions, WeightsFiles, load_network
from telecine.engine.parallel.layout import ParallelPlan

_SAMPLERS = ("euler", "heun", "rk4", "unipc")
_TEXT_ENCODER = EncoderRole(
    "t5_encoder", ("input_ids", "attention_mask"), ("prompt_embeds",), "onnx"
)
_SPATIAL_SCALE = 8
_TEMPORAL_SCALE = 6
Config = TypeVar("Config")


class MochiFamily:
    """A folder whose model_index.json says `MochiPipeline`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def card(self) -> FamilyCard:
        """Of the published model, which was trained at one size."""
        return FamilyCard(
            family="mochi",
            display_name="Mochi 1",
            sizes=((848, 480), (480, 848), (640, 352)),
            frames_multiple=_TEMPORAL_SCALE,
            max_num_frames=163,
            default_num_frames=85,
            fps=30,
            samplers=_SAMPLERS,
            default_num_inference_steps=64,
            default_guidance_scale=4.5,
            default_negative_prompt="",
            max_prompt_tokens=MAX_PROMPT_TOKENS,
            memory_bytes_per_megapixel=self._pass_bytes_per_megapixel(),
            held_parts={"vae": HeldPart(num_copies=2)},  # by the sampler, for previews, too
        )

    def _pass_bytes_per_megapixel(self) -> int:
        config = self._transformer_config()
        return pass_bytes_per_megapixel(
            width=config.num_attention_heads * config.attention_head_dim,
            pixels_per_token=_TEMPORAL_SCALE * (_SPATIAL_SCALE * config.patch_size) ** 2,
        )

    @property
    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        """Transformer, VAE and T5."""
        return {
            "transformer": lambda: MochiTransformer(self._transformer_config()),
            "vae": self._build_vae,
            "text_encoder": self._build_text_encoder,
        }

    @property
    def rollout(self) -> None:
        """Every video is made whole."""
        return

    @property
    def parallel_plan(self) -> ParallelPlan:
        """Along every axis; where tokens are shared, attention is by heads (Ulysses)."""
        return ParallelPlan(
            num_heads=(self._transformer_config().num_attention_heads,),
            axes=frozenset({"tensor", "sequence", "guidance"}),
            head_axes=frozenset({"tensor", "sequence"}),
        )

    @property
    def encoder_roles(self) -> tuple[EncoderRole, ...]:
        """T5 alone."""
        return (_TEXT_ENCODER,)

    @property
    def conditioning(self) -> tuple[str, ...]:
        """What the transformer reads."""
        return "prompt_embeds", "attention_mask"

    @property
    def image_conditioning(self) -> Mapping[str, int]:
        """No pictures."""
        return {}

    def sigmas(
        self,
        sampler: str,
        num_inference_steps: int,
        latents_shape: tuple[int, ...],  # noqa: ARG002
    ) -> tuple[float, ...]:
        """The network's own schedule, whichever sampler walks it."""
        if sampler not in _SAMPLERS:
            raise ValueError(f"sampler: there is no {sampler!r}")
        path = self._folder / "scheduler" / "scheduler_config.json"
        described = _read_json(path)
        is_shifted = described.get("shift", 1.0) != 1.0 or described.get("use_dynamic_shifting")
        if is_shifted or not described.get("invert_sigmas"):
            raise ValueError(f"{path}: not Mochi's schedule: its time is inverted and not shifted")
        return linear_quadratic_sigmas(num_inference_steps)

    def latents_shape(
        self, *, num_frames: int, height: int, width: int
    ) -> tuple[int, int, int, int, int]:
        """[B, C, T, H, W] of the latents of one video, given in pixels."""
        channels = self._transformer_config().in_channels
        latent_frames = (num_frames - 1) // _TEMPORAL_SCALE + 1
        return 1, channels, latent_frames, height // _SPATIAL_SCALE, width // _SPATIAL_SCALE

    def audio_latents_shape(self, *, num_frames: int, fps: int) -> None:  # noqa: ARG002
        """No sound."""
        return

    def load_tokenizer(self) -> MochiTokenizer:
        """The tokenizer."""
        return load_tokenizer(self._folder)

    def load_encoder(self, role: str) -> nn.Module:
        """T5."""
        if role != _TEXT_ENCODER.name:
            raise KeyError(role)
        # transformers takes seconds to import, and only set-up exports the encoder.
        from telecine.engine.text_encoders.encoders import T5Encoder  # noqa: PLC0415

        return T5Encoder.from_folder(self._folder / "text_encoder")

    def load_denoiser(self, device: torch.device, options: LoadOptions = FULL) -> MochiDenoiser:
        """The transformer."""
        return MochiDenoiser(
            load_network(
                partial(MochiTransformer, self._transformer_config()),
                self._folder / "transformer",
                device=device,
                options=options,
                # Turns by thousands of pixels: bfloat16 would mix up the places.
                float32=("pos_frequencies",),
            )
        )

    def load_vae(self, device: torch.device) -> MochiVideoDecoder:
        """The decoder; the encoder has no use."""
        config = _config(MochiVAEConfig, self._folder / "vae" / "config.json")
        files = WeightsFiles(self._folder / "vae", part="decoder.")
        return load_network(partial(MochiVideoDecoder, config), files, device=device)

    def load_image_encoder(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """The network was not trained on pictures."""
        raise ValueError("image: this model makes videos of text alone")

    def load_audio_encoder(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """No sound."""
        raise ValueError("audio_mode: this model makes silent videos")

    def load_audio_decoder(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """No sound."""
        raise ValueError("audio_mode: this model makes silent videos")

    def load_audio_denoiser(self, device: torch.device) -> NoReturn:  # noqa: ARG002
        """No sound."""
        raise ValueError("audio_mode: this model makes silent videos")

    def _transformer_config(self) -> MochiConfig:
        return _config(MochiConfig, self._folder / "transformer" / "config.json")

    def _build_vae(self) -> nn.Module:
        from diffusers import AutoencoderKLMochi  # noqa: PLC0415 - takes seconds, for a check alone

        config = _read_json(self._folder / "vae" / "config.json")
        vae: nn.Module = AutoencoderKLMochi.from_config(config)  # type: ignore[no-untyped-call]
        return vae

    def _build_text_encoder(self) -> nn.Module:
        from transformers import T5Config, T5EncoderModel  # noqa: PLC0415 - as in load_encoder

        return T5EncoderModel(T5Config.from_pretrained(self._folder / "text_encoder"))


def _config(kind: type[Config], path: Path) -> Config:
    """Those entries of a config.json that a dataclass names; lists become tuples."""
    described = _read_json(path)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in described.items()
            if name in names
        }
    )


def _read_json(path: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(path.read_text())
    return described
