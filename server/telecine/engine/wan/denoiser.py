"""The transformer at work on a job: one expert or two, prompt and negative prompt in one batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from telecine.engine.denoise import Conditioning, SamplingConfig
from telecine.engine.guidance import guided
from telecine.engine.latents import FinishedFrames, Latents
from telecine.engine.wan.job import WanExperts, WanJob


class WanDenoiser:
    """Keeps what its last job's steps share, so that a job's next slice need not make it again."""

    def __init__(self, experts: WanExperts) -> None:
        self._experts = experts
        self._last: WanJob | None = None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The transformers by their folders' names."""
        return self._experts.networks

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> "WanVelocity":
        """See `telecine.engine.denoise.Denoiser`.

        All frames attend to all others, whatever `config.temporal_mask` says: the network knows
        no other attention.
        """
        if context is not None:
            raise ValueError("attention: this model makes every video whole, not chunk by chunk")
        is_guided = negative_prompt is not None and config.guidance_scale > 1.0
        prompts = [negative_prompt, prompt] if is_guided and negative_prompt else [prompt]
        job = WanJob(
            experts=self._experts,
            config=config,
            prompt_embeds=torch.cat([each["prompt_embeds"] for each in prompts]),
            image_embeds=prompt.get("image_embeds"),
        )
        if self._last is None or not self._last.is_same_as(job):
            self._last = job
        return WanVelocity(
            self._last,
            image_latents=prompt.get("image_latents"),
            guidance_scale=config.guidance_scale if is_guided else None,
        )


class WanVelocity:
    """See `telecine.engine.denoise.Velocity`; without a `guidance_scale` there is no guidance.

    `image_latents`, where a first image is given: [1, 4 + C, T, H, W], a mask before the latents,
    which the network reads beside the noisy ones; or [1, C, 1, H, W], which take the first frame's
    place.
    """

    def __init__(
        self, job: WanJob, *, image_latents: Tensor | None, guidance_scale: float | None
    ) -> None:
        self._job = job
        self._guidance_scale = guidance_scale
        is_frame_wise = job.experts.is_frame_wise
        self._first_frame = image_latents if is_frame_wise else None
        self._beside = None if is_frame_wise else image_latents
        self._check_channels()

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """[1, C, T, H, W] and their noise level -> velocity."""
        video = latents.video
        velocity = self._guided(self._predict(self._with_image(video), sigma))
        if self._first_frame is not None:
            # Straight to the given frame, where every sampler then ends.
            towards = (video[:, :, :1] - self._first_frame) / sigma
            velocity = torch.cat((towards, velocity[:, :, 1:]), 2)
        return Latents(velocity)

    def _guided(self, predicted: Tensor) -> Tensor:
        predicted = predicted.float()
        scale = self._guidance_scale
        return predicted if scale is None else guided(predicted, scale)

    def _with_image(self, video: Tensor) -> Tensor:
        if self._first_frame is not None:
            return torch.cat((self._first_frame.to(video), video[:, :, 1:]), 2)
        return video if self._beside is None else torch.cat((video, self._beside.to(video)), 1)

    def _predict(self, video: Tensor, sigma: float) -> Tensor:
        job, timestep = self._job, self._job.timestep(sigma)
        expert = job.experts.name_at(timestep)
        network = job.experts.networks[expert]
        grid = network.grid(video.shape)
        known = list(job.timesteps)
        if sigma in job.timesteps:
            table, row = job.table(expert), known.index(sigma)
        else:
            table, row = job.embed_timesteps(expert, [timestep, 0.0]), 0
        rows, run_lengths = [row], [grid.num_tokens]
        if self._first_frame is not None:
            first = grid.rows * grid.columns
            rows, run_lengths = [len(table.temb) - 1, row], [first, grid.num_tokens - first]
        return network(
            video,
            table.modulation(rows, tuple(run_lengths)),
            rotary_emb=job.rotary_emb,
            contexts=job.contexts(expert),
        )

    def _check_channels(self) -> None:
        network = next(iter(self._job.experts.networks.values()))
        given = 0 if self._beside is None else self._beside.shape[1]
        if self._job.config.latents_shape[1] + given != network.config.in_channels:
            missing = "needs" if given == 0 else "does not take such"
            raise ValueError(f"image_latents: the model {missing} an image")
