"""The network at work on a job: prompt and negative prompt in one batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import Conditioning, SamplingConfig
from telecine.engine.guidance import guided
from telecine.engine.latents import FinishedFrames, Latents
from telecine.engine.mochi.model import MochiTransformer, Prompt

_TIMESTEPS = 1000


class MochiDenoiser:
    """Keeps what the last job's slices share, for the next slice of the same job."""

    def __init__(self, transformer: MochiTransformer) -> None:
        self._transformer = transformer
        self._read: tuple[tuple[LoraUse, ...], Conditioning, Prompt] | None = None
        self._placed: tuple[tuple[int, ...], Tensor] | None = None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks by the folder that holds their weights."""
        return {"transformer": self._transformer}

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> "MochiVelocity":
        """See `telecine.engine.denoise.Denoiser`."""
        if context is not None:
            raise ValueError("attention: this model does not denoise chunk by chunk")
        scale = None if negative_prompt is None else config.guidance_scale
        if negative_prompt is not None:
            prompt = {name: torch.cat((negative_prompt[name], prompt[name])) for name in prompt}
        return MochiVelocity(
            self._transformer,
            self._read_prompt(prompt, config.loras),
            self._place(config.latents_shape[2:]),
            guidance_scale=scale,
        )

    def _read_prompt(self, prompt: Conditioning, loras: tuple[LoraUse, ...]) -> Prompt:
        if self._read is not None and self._read[0] == loras and _are_equal(self._read[1], prompt):
            return self._read[2]
        read = self._transformer.read_prompt(prompt["prompt_embeds"], prompt["attention_mask"])
        self._read = loras, prompt, read
        return read

    def _place(self, size: tuple[int, ...]) -> Tensor:
        if self._placed is None or self._placed[0] != size:
            frames, height, width = size
            self._placed = size, self._transformer.rotary(frames, height, width)
        return self._placed[1]


class MochiVelocity:
    """See `telecine.engine.denoise.Velocity`; without a `guidance_scale` there is no guidance."""

    def __init__(
        self,
        transformer: MochiTransformer,
        prompt: Prompt,
        rotary_emb: Tensor,
        *,
        guidance_scale: float | None,
    ) -> None:
        self._transformer = transformer
        self._prompt = prompt
        self._rotary_emb = rotary_emb
        self._guidance_scale = guidance_scale

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """The network counts from noise to clean, and so predicts the velocity's opposite."""
        batch = latents.video.expand(1 if self._guidance_scale is None else 2, -1, -1, -1, -1)
        timesteps = torch.full((len(batch),), _TIMESTEPS * (1.0 - sigma), device=batch.device)
        flow = self._transformer(batch, timesteps, self._prompt, self._rotary_emb)
        if self._guidance_scale is not None:
            flow = guided(flow, self._guidance_scale)
        return Latents(-flow)


def _are_equal(left: Conditioning, right: Conditioning) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )
