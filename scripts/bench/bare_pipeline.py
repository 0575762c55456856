"""The same video in plain PyTorch in one process: what a served one is measured against."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from telecine.engine.denoise import Conditioning, SamplingConfig, denoise_slice, initial_state
from telecine.engine.families import load_family
from telecine.media.transcoder import EncodingOptions, Frames, Mp4Writer

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Wanted:
    """What both sides make."""

    prompt: str
    seed: int
    num_inference_steps: int
    guidance_scale: float
    num_frames: int
    fps: int
    size: int


@dataclass(frozen=True)
class BareTimes:
    """Seconds that the parts took."""

    conditioning: float
    denoising: float
    decoding: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.conditioning + self.denoising + self.decoding


class BarePipeline:
    """A family's models, loaded into this process."""

    def __init__(self, weights: Path) -> None:
        self._family = load_family(str(weights))
        self._tokenizer = self._family.load_tokenizer()
        self._t5_encoder = self._family.load_t5_encoder().eval()
        self._clip_encoder = self._family.load_clip_encoder().eval()
        self._text_projection = self._family.load_text_projection()
        self._denoiser = self._family.load_denoiser(CPU)
        self._vae = self._family.load_vae(CPU)

    @torch.inference_mode()
    def make(self, wanted: Wanted, path: Path) -> BareTimes:
        """Writes the video to `path`."""
        start = time.perf_counter()
        prompt, negative_prompt = self._encode(wanted.prompt), self._encode("")
        conditioned = time.perf_counter()
        latents = self._denoise(wanted, prompt, negative_prompt)
        denoised = time.perf_counter()
        writer = Mp4Writer(path, EncodingOptions(fps=wanted.fps))
        for chunk in self._vae.decode_chunks(latents):
            writer.write(_to_frames(chunk))
        writer.finish()
        decoded = time.perf_counter()
        return BareTimes(conditioned - start, denoised - conditioned, decoded - denoised)

    def _encode(self, prompt: str) -> Conditioning:
        tokens = self._tokenizer.encode(prompt)
        t5_hidden_states = self._t5_encoder(tokens.input_ids, tokens.attention_mask)
        clip_pooled = self._clip_encoder(tokens.input_ids, tokens.attention_mask)
        embeds = self._text_projection(t5_hidden_states, clip_pooled)
        return Conditioning(*embeds, tokens.attention_mask)

    def _denoise(
        self, wanted: Wanted, prompt: Conditioning, negative_prompt: Conditioning
    ) -> Tensor:
        config = SamplingConfig(
            seed=wanted.seed,
            num_inference_steps=wanted.num_inference_steps,
            guidance_scale=wanted.guidance_scale,
            sampler="euler",
            shift=self._family.shift,
            latents_shape=self._family.latents_shape(
                num_frames=wanted.num_frames, height=wanted.size, width=wanted.size
            ),
        )
        *_, last = denoise_slice(
            self._denoiser,
            prompt,
            negative_prompt,
            config=config,
            state=initial_state(config, CPU),
            num_steps=wanted.num_inference_steps,
        )
        return last.state.latents


def _to_frames(video: Tensor) -> Frames:
    """[1, 3, T, H, W] in about [-1, 1] -> [T, H, W, 3] uint8."""
    pixels = (video[0] + 1.0).mul(127.5).round().clamp(0, 255)
    frames: Frames = pixels.byte().permute(1, 2, 3, 0).contiguous().numpy()
    return frames
