"""Sound for a picture that is finished: a denoising loop of the sound alone."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from telecine.engine.audio.joint import Picture, SoundOf, sound_of
from telecine.engine.denoise import Conditioning, SamplingConfig
from telecine.engine.dit.denoiser import in_one_batch, read_prompt
from telecine.engine.dit.model import DiT
from telecine.engine.guidance import guided
from telecine.engine.noise import step_noise
from telecine.engine.samplers import SAMPLERS, StepPlace
from telecine.engine.samplers.base import Predict

_INITIAL = -1
"""The step whose noise the sound begins as: the picture's own steps are counted from 0."""


class PostSync:
    """The sound's half of a joint DiT, conditioned on clean latents and the prompt.

    Raises:
        ValueError: the network has no sound.
    """

    def __init__(self, dit: DiT) -> None:
        sound_of(dit)
        self._dit = dit

    def denoise(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        *,
        latents: Tensor,
        config: SamplingConfig,
    ) -> Iterator[Tensor]:
        """Clean latents of the picture [1, C, T, H, W] -> its sound's after each step [1, C, A].

        A function of its arguments alone: the same seed gives the same sound. It is guided at
        all noise levels, below `config.guidance_floor` too.

        Raises:
            ValueError: `config` is of a video without sound.
        """
        if config.audio_latents_shape is None:
            raise ValueError("audio_latents_shape: the video has no sound")
        conditioning = in_one_batch(prompt, negative_prompt)
        num_rows = len(conditioning["prompt_embeds"])
        rows = latents.expand(num_rows, -1, -1, -1, -1)
        sound = SoundOf(
            self._dit,
            Picture(rows, torch.zeros(num_rows, device=latents.device), config.fps),
            read_prompt(conditioning),
            num_latents=config.audio_latents_shape[2],
            temporal_mask=config.temporal_mask,
        )

        def predict(audio: Tensor, sigma: float) -> Tensor:
            timesteps = torch.full((num_rows,), sigma, device=audio.device)
            velocity = sound(audio.expand(num_rows, -1, -1), timesteps)
            return velocity if negative_prompt is None else guided(velocity, config.guidance_scale)

        yield from _steps(predict, config, config.audio_latents_shape, like=latents)


def _steps(
    predict: Predict, config: SamplingConfig, shape: tuple[int, ...], *, like: Tensor
) -> Iterator[Tensor]:
    def noise_of(step_index: int) -> Tensor:
        return step_noise(shape, config.seed, step_index).to(like)

    audio, sampler_state = noise_of(_INITIAL), dict[str, Tensor]()
    for index in range(config.num_inference_steps):
        place = StepPlace(
            sigma=config.sigmas[index],
            next_sigma=config.sigmas[index + 1],
            noise=partial(noise_of, _INITIAL - 1 - index),
            sampler_state=sampler_state,
        )
        step = SAMPLERS[config.sampler].step(predict, audio, place)
        audio, sampler_state = step.latents, step.sampler_state
        yield audio
