"""Prompts to frames in this process: the engine alone, without a server."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from telecine.engine.adapters.lora import applied
from telecine.engine.adapters.lora_shelf import LoraShelf
from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import (
    FROM_NOISE,
    ClipStart,
    SamplingConfig,
    denoise_slice,
    initial_state,
)
from telecine.engine.dit.attention import AttentionKind
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.protocol import AudioDecoder, AudioDenoiser, AudioEncoder, Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.state import DenoiseState
from telecine.media.sound import Sound, fit

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    """How the clips are made."""

    num_inference_steps: int = 20
    guidance_scale: float = 4.0
    sampler: str = "euler_ancestral"
    num_frames: int = 33
    side: int = 128
    fps: int = 16
    attention: AttentionKind = "full"
    audio_mode: Literal["NONE", "JOINT", "POST_SYNC"] = "NONE"
    loras: tuple[LoraUse, ...] = ()


class Generator:
    """A family's parts, loaded once."""

    def __init__(self, weights: Path) -> None:
        self._family: Family = load_family(str(weights))
        self._encoder = PromptEncoder(self._family)
        self._denoiser = self._family.load_denoiser(CPU)
        self._shelf = LoraShelf(weights, self._denoiser.networks, device=CPU)
        self.vae = self._family.load_vae(CPU)

    @cached_property
    def _audio_denoiser(self) -> AudioDenoiser:
        return self._family.load_audio_denoiser(CPU)

    @cached_property
    def _audio_encoder(self) -> AudioEncoder:
        return self._family.load_audio_encoder(CPU)

    @cached_property
    def _audio_decoder(self) -> AudioDecoder:
        return self._family.load_audio_decoder(CPU)

    @torch.no_grad()
    def latents(self, prompt: str, seed: int, settings: Settings) -> Tensor:
        """Denoise one clip: latents [1, C, T, H, W]."""
        return self._denoised(prompt, _config(self._family, seed, settings)).latents

    @torch.no_grad()
    def frames(self, prompt: str, seed: int, settings: Settings) -> Tensor:
        """One clip as [T, H, W, 3] uint8."""
        return self._decoded(self.latents(prompt, seed, settings))

    @torch.no_grad()
    def frames_and_sound(self, prompt: str, seed: int, settings: Settings) -> tuple[Tensor, Sound]:
        """One clip as [T, H, W, 3] uint8, and its sound of the same length.

        Raises:
            ValueError: the settings ask for no sound, or the model has none of that mode.
        """
        config = _config(self._family, seed, settings)
        if config.audio_latents_shape is None:
            raise ValueError("audio_mode: the clip has no sound")
        if settings.audio_mode == "JOINT":
            state = self._denoised(prompt, config)
            latents, audio_latents = state.latents, state.audio_latents
        else:
            latents = self.latents(prompt, seed, replace(settings, audio_mode="NONE"))
            *_, audio_latents = self._audio_denoiser.denoise(
                self._encoder.encode(prompt),
                self._encoder.encode(""),
                latents=latents,
                config=config,
            )
        assert audio_latents is not None
        return self._decoded(latents), self._sound(audio_latents, settings)

    @torch.no_grad()
    def frames_made_to(
        self, waveform: Tensor, prompt: str, seed: int, *, settings: Settings
    ) -> Tensor:
        """One clip as [T, H, W, 3] uint8, made to a sound [samples] of whole latents.

        Raises:
            ValueError: the settings ask for no joint sound, or the waveform is of another length.
        """
        config = replace(_config(self._family, seed, settings), is_audio_given=True)
        given = ClipStart(given_audio=self._audio_encoder.encode(waveform[None, None]))
        return self._decoded(self._denoised(prompt, config, given).latents)

    def _denoised(
        self, prompt: str, config: SamplingConfig, start: ClipStart = FROM_NOISE
    ) -> DenoiseState:
        state = initial_state(config, CPU, start)
        is_guided = config.guidance_scale != 1.0
        prompts = self._encoder.encode(prompt), self._encoder.encode("") if is_guided else None
        with applied(self._denoiser.networks, self._shelf.take(config.loras)):
            while state.step_index < config.num_steps:
                steps = denoise_slice(
                    self._denoiser, *prompts, config=config, state=state, num_steps=config.num_steps
                )
                for step in steps:
                    state = step.state
        return state

    def _decoded(self, latents: Tensor) -> Tensor:
        pixels = (self.vae.decode(latents)[0].permute(1, 2, 3, 0) + 1.0) * 127.5
        return pixels.round().clamp(0, 255).byte()

    def _sound(self, audio_latents: Tensor, settings: Settings) -> Sound:
        samples = torch.cat(list(self._audio_decoder.decode_chunks(audio_latents)), 2)[0]
        sound = Sound(samples.numpy(), self._audio_decoder.sample_rate)
        return fit(sound, settings.num_frames, settings.fps)


def _config(family: Family, seed: int, settings: Settings) -> SamplingConfig:
    return sampling_config(
        family,
        VideoSize(settings.num_frames, settings.side, settings.side, settings.fps),
        SamplingRequest(
            seed=seed,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            sampler=settings.sampler,
            attention=settings.attention,
            audio_mode=settings.audio_mode,
            loras=settings.loras,
        ),
    )
