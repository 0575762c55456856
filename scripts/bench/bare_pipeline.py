"""The same video in plain PyTorch in one process: what a served one is measured against."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from telecine.engine.denoise import Conditioning, denoise_slice, initial_state
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
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
        self._encoder = PromptEncoder(self._family)
        self._denoiser = self._family.load_denoiser(CPU)
        self._vae = self._family.load_vae(CPU)

    @torch.inference_mode()
    def make(self, wanted: Wanted, path: Path) -> BareTimes:
        """Writes the video to `path`."""
        start = time.perf_counter()
        prompt, negative_prompt = (self._encoder.encode(text) for text in (wanted.prompt, ""))
        conditioned = time.perf_counter()
        latents = self._denoise(wanted, prompt, negative_prompt)
        denoised = time.perf_counter()
        writer = Mp4Writer(path, EncodingOptions(fps=wanted.fps))
        for chunk in self._vae.decode_chunks(latents):
            writer.write(_to_frames(chunk))
        writer.finish()
        decoded = time.perf_counter()
        return BareTimes(conditioned - start, denoised - conditioned, decoded - denoised)

    def _denoise(
        self, wanted: Wanted, prompt: Conditioning, negative_prompt: Conditioning
    ) -> Tensor:
        config = sampling_config(
            self._family,
            VideoSize(wanted.num_frames, wanted.size, wanted.size, wanted.fps),
            SamplingRequest(
                seed=wanted.seed,
                num_inference_steps=wanted.num_inference_steps,
                guidance_scale=wanted.guidance_scale,
                sampler="euler",
                attention="full",
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
