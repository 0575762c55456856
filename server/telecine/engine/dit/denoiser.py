"""The DiT at work on a job: prompt and negative prompt in one batch, finished frames behind it."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import nn

from telecine.engine.audio.joint import predict_jointly
from telecine.engine.denoise import Conditioning, SamplingConfig, Velocity
from telecine.engine.dit.attention import TemporalMask
from telecine.engine.dit.model import DiT, DiTAfter, Prompt
from telecine.engine.dit.places import even_shares
from telecine.engine.guidance import GuidedVelocity
from telecine.engine.latents import FinishedFrames, Latents


class DiTDenoiser:
    """A denoiser of the seed's own architecture."""

    def __init__(self, dit: DiT) -> None:
        self.dit = dit

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The DiT, by its folder."""
        return {"transformer": self.dit}

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> Velocity:
        """See `telecine.engine.denoise.Denoiser`."""
        alone = partial(self._begin, prompt, config, context)
        if negative_prompt is None:
            return alone()
        both = partial(self._begin, in_one_batch(prompt, negative_prompt), config, context)
        return GuidedVelocity(config, alone=alone, both=both)

    def _begin(
        self, conditioning: Conditioning, config: SamplingConfig, context: FinishedFrames | None
    ) -> Velocity:
        if config.audio_latents_shape is not None:
            return JointVelocity(self.dit, conditioning, config)
        network = self._network(conditioning, config, context)
        return DiTVelocity(network, conditioning, temporal_mask=config.temporal_mask)

    def _network(
        self, conditioning: Conditioning, config: SamplingConfig, context: FinishedFrames | None
    ) -> DiT | DiTAfter:
        if config.rollout is None:
            return self.dit
        device = conditioning["prompt_embeds"].device
        shares = even_shares(config.latents_shape[2], device)
        if context is None:
            return DiTAfter(self.dit, None, shares)
        batch_size = len(conditioning["prompt_embeds"])
        latents = context.latents.expand(batch_size, -1, -1, -1, -1)
        shares = shares[context.end_frame - latents.shape[2] :]
        return self.dit.after(latents, **conditioning, frame_shares=shares)


def in_one_batch(prompt: Conditioning, negative_prompt: Conditioning | None) -> Conditioning:
    """The prompt, behind the negative one where there is one."""
    if negative_prompt is None:
        return prompt
    return {name: torch.cat((negative_prompt[name], value)) for name, value in prompt.items()}


class DiTVelocity:
    """See `telecine.engine.denoise.Velocity`: one for each prompt of the conditioning."""

    def __init__(
        self, network: DiT | DiTAfter, conditioning: Conditioning, *, temporal_mask: TemporalMask
    ) -> None:
        self._network = network
        self._conditioning = conditioning
        self._temporal_mask = temporal_mask

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """[1, C, T, H, W] and their noise level -> velocities [B, C, T, H, W]."""
        num_rows = len(self._conditioning["prompt_embeds"])
        video = latents.rows(num_rows).video
        timesteps = torch.full((num_rows,), sigma, device=video.device)
        velocity = self._network(
            video, timesteps, temporal_mask=self._temporal_mask, **self._conditioning
        )
        return Latents(velocity)


class JointVelocity:
    """As DiTVelocity, of picture and sound.

    Raises:
        ValueError: the video is not denoised as a whole, under full attention.
    """

    def __init__(self, dit: DiT, conditioning: Conditioning, config: SamplingConfig) -> None:
        if config.rollout is not None or config.temporal_mask.kind != "full":
            raise ValueError("audio_mode: sound is denoised along under full attention alone")
        self._dit = dit
        self._prompt = read_prompt(conditioning)
        self._fps = config.fps
        self._is_audio_given = config.is_audio_given

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """Both latents of one video and their noise level -> velocities of both.

        Sound that is given has no noise, whatever the level of the picture's.
        """
        num_rows = len(self._prompt.prompt_embeds)
        timesteps = torch.full((num_rows,), sigma, device=latents.video.device)
        return predict_jointly(
            self._dit,
            latents.rows(num_rows),
            timesteps,
            self._prompt,
            fps=self._fps,
            audio_timesteps=torch.zeros_like(timesteps) if self._is_audio_given else timesteps,
        )


def read_prompt(conditioning: Conditioning) -> Prompt:
    """What the network reads of an encoded prompt."""
    return Prompt(
        conditioning["prompt_embeds"],
        conditioning["pooled_prompt_embeds"],
        conditioning["attention_mask"].bool(),
    )
