"""Prompts to frames in this process: the engine alone, without a server."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from telecine.engine.denoise import Conditioning, SamplingConfig, denoise_slice, initial_state
from telecine.engine.dit.attention import AttentionKind, TemporalMask
from telecine.engine.families import Family, load_family

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    """How the clips are made."""

    num_inference_steps: int = 20
    guidance_scale: float = 4.0
    sampler: str = "euler"
    num_frames: int = 33
    side: int = 128
    attention: AttentionKind = "full"


class Generator:
    """A family's parts, loaded once."""

    def __init__(self, weights: Path) -> None:
        self._family: Family = load_family(str(weights))
        self._tokenizer = self._family.load_tokenizer()
        self._t5 = self._family.load_t5_encoder()
        self._clip = self._family.load_clip_encoder()
        self._projection = self._family.load_text_projection()
        self._denoiser = self._family.load_denoiser(CPU)
        self._vae = self._family.load_vae(CPU)

    @torch.no_grad()
    def encode(self, prompt: str) -> Conditioning:
        """Run the tokenizer, both encoders and the projection."""
        tokens = self._tokenizer.encode(prompt)
        hidden = self._t5(tokens.input_ids, tokens.attention_mask)
        pooled = self._clip(tokens.input_ids, tokens.attention_mask)
        prompt_embeds, pooled_prompt_embeds = self._projection(hidden, pooled)
        return Conditioning(prompt_embeds, pooled_prompt_embeds, tokens.attention_mask)

    @torch.no_grad()
    def latents(self, prompt: str, seed: int, settings: Settings) -> Tensor:
        """Denoise one clip: latents [1, C, T, H, W]."""
        config = SamplingConfig(
            seed=seed,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            sampler=settings.sampler,
            shift=self._family.shift,
            latents_shape=self._family.latents_shape(
                num_frames=settings.num_frames, height=settings.side, width=settings.side
            ),
            temporal_mask=TemporalMask(settings.attention),
            rollout=self._family.rollout if settings.attention == "causal" else None,
        )
        state = initial_state(config, CPU)
        prompts = self.encode(prompt), self.encode("")
        while state.step_index < config.num_steps:
            steps = denoise_slice(
                self._denoiser, *prompts, config=config, state=state, num_steps=config.num_steps
            )
            for step in steps:
                state = step.state
        return state.latents

    @torch.no_grad()
    def frames(self, prompt: str, seed: int, settings: Settings) -> Tensor:
        """One clip as [T, H, W, 3] uint8."""
        video = self._vae.decode(self.latents(prompt, seed, settings))[0]
        pixels = (video.permute(1, 2, 3, 0) + 1.0) * 127.5
        return pixels.round().clamp(0, 255).byte()
