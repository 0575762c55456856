"""The DiT at work on a job: prompt and negative prompt in one batch, finished frames behind it."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from telecine.engine.audio.joint import predict_jointly
from telecine.engine.denoise import Conditioning, SamplingConfig, Velocity
from telecine.engine.dit.attention import TemporalMask
from telecine.engine.dit.model import DiT, DiTAfter, Prompt
from telecine.engine.dit.places import even_shares
from telecine.engine.latents import FinishedFrames, Latents

Guidance = Callable[[float], float]
"""The noise level to the strength of guidance there."""


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
        conditioning = in_one_batch(prompt, negative_prompt)
        guidance = None if negative_prompt is None else config.guidance_at
        if config.audio_latents_shape is not None:
            return JointVelocity(self.dit, conditioning, config, guidance=guidance)
        return DiTVelocity(
            self._network(conditioning, config, context),
            conditioning,
            guidance=guidance,
            temporal_mask=config.temporal_mask,
        )

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


def guided(predicted: Tensor, guidance_scale: float) -> Tensor:
    """What was predicted for the batch of `in_one_batch` -> the one that guidance makes of it."""
    away, towards = predicted.chunk(2)
    return away + guidance_scale * (towards - away)


class DiTVelocity:
    """See `telecine.engine.denoise.Velocity`; `guidance` is None where nothing is guided."""

    def __init__(
        self,
        network: DiT | DiTAfter,
        conditioning: Conditioning,
        *,
        guidance: Guidance | None,
        temporal_mask: TemporalMask,
    ) -> None:
        self._network = network
        self._conditioning = conditioning
        self._guidance = guidance
        self._temporal_mask = temporal_mask

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """[B, C, T, H, W] and their noise level -> velocity."""
        if self._guidance is None:
            return Latents(self._predict(latents.video, sigma))
        doubled = latents.video.expand(2, -1, -1, -1, -1)
        return Latents(guided(self._predict(doubled, sigma), self._guidance(sigma)))

    def _predict(self, video: Tensor, sigma: float) -> Tensor:
        timesteps = torch.full((len(video),), sigma, device=video.device)
        return self._network(
            video, timesteps, temporal_mask=self._temporal_mask, **self._conditioning
        )


class JointVelocity:
    """As DiTVelocity, of picture and sound.

    Raises:
        ValueError: the video is not denoised as a whole, under full attention.
    """

    def __init__(
        self,
        dit: DiT,
        conditioning: Conditioning,
        config: SamplingConfig,
        *,
        guidance: Guidance | None,
    ) -> None:
        if config.rollout is not None or config.temporal_mask.kind != "full":
            raise ValueError("audio_mode: sound is denoised along under full attention alone")
        self._dit = dit
        self._prompt = read_prompt(conditioning)
        self._guidance = guidance
        self._fps = config.fps

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """Both latents and their noise level -> velocity."""
        assert latents.audio is not None
        num_rows = len(self._prompt.prompt_embeds)
        rows = Latents(
            latents.video.expand(num_rows, -1, -1, -1, -1), latents.audio.expand(num_rows, -1, -1)
        )
        timesteps = torch.full((num_rows,), sigma, device=latents.video.device)
        predicted = predict_jointly(self._dit, rows, timesteps, self._prompt, fps=self._fps)
        if self._guidance is None:
            return predicted
        return latents.unpacked(guided(predicted.packed(), self._guidance(sigma)))


def read_prompt(conditioning: Conditioning) -> Prompt:
    """What the network reads of an encoded prompt."""
    return Prompt(
        conditioning["prompt_embeds"],
        conditioning["pooled_prompt_embeds"],
        conditioning["attention_mask"].bool(),
    )
