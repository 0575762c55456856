"""Prompts to frames in this process: the engine alone, without a server."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from telecine.engine.denoise import denoise_slice, initial_state
from telecine.engine.dit.attention import AttentionKind
from telecine.engine.families import Family, load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config

CPU = torch.device("cpu")
_FPS = 16


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
        self._encoder = PromptEncoder(self._family)
        self._denoiser = self._family.load_denoiser(CPU)
        self.vae = self._family.load_vae(CPU)

    @torch.no_grad()
    def latents(self, prompt: str, seed: int, settings: Settings) -> Tensor:
        """Denoise one clip: latents [1, C, T, H, W]."""
        config = sampling_config(
            self._family,
            VideoSize(settings.num_frames, settings.side, settings.side, _FPS),
            SamplingRequest(
                seed=seed,
                num_inference_steps=settings.num_inference_steps,
                guidance_scale=settings.guidance_scale,
                sampler=settings.sampler,
                attention=settings.attention,
            ),
        )
        state = initial_state(config, CPU)
        prompts = self._encoder.encode(prompt), self._encoder.encode("")
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
        video = self.vae.decode(self.latents(prompt, seed, settings))[0]
        pixels = (video.permute(1, 2, 3, 0) + 1.0) * 127.5
        return pixels.round().clamp(0, 255).byte()
