"""What all steps of a job share, each part made when it is first needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from telecine.engine.denoise import SamplingConfig
from telecine.engine.wan.attention import CrossContext
from telecine.engine.wan.model import TimestepTable, WanTransformer
from telecine.engine.wan.rotary import rotary_table
from telecine.engine.wan.schedule import WanSchedule


@dataclass(frozen=True)
class WanExperts:
    """The transformers, and which of them a noise level is for.

    Attributes:
        networks: by their folders' names; the first is for high noise, a second for low noise.
        boundary_ratio: share of the timesteps below which the second is asked; None with one.
        is_frame_wise: whether a given first frame takes the first latent frame's place, its
            timestep being 0, and is not given in channels of its own.
    """

    networks: Mapping[str, WanTransformer]
    schedule: WanSchedule
    boundary_ratio: float | None = None
    is_frame_wise: bool = False

    def name_at(self, timestep: float) -> str:
        """The expert of a timestep."""
        names = list(self.networks)
        if self.boundary_ratio is None:
            return names[0]
        boundary = self.boundary_ratio * self.schedule.num_train_timesteps
        return names[0] if timestep >= boundary else names[1]


@dataclass(frozen=True, eq=False)
class WanJob:
    """What all steps of a job share, made when it is first needed."""

    experts: WanExperts
    config: SamplingConfig
    prompt_embeds: Tensor
    """[B, L, text_dim]: the negative prompt, if there is one, before the prompt."""
    image_embeds: Tensor | None

    def is_same_as(self, other: "WanJob") -> bool:
        """Whether all that is made here would come out the same."""
        return (
            self.config == other.config
            and torch.equal(self.prompt_embeds, other.prompt_embeds)
            and _is_equal(self.image_embeds, other.image_embeds)
        )

    @cached_property
    def timesteps(self) -> dict[float, float]:
        """By noise level, those of the schedule."""
        sampler, num_steps = self.config.sampler, self.config.num_inference_steps
        schedule = self.experts.schedule
        levels, times = schedule.sigmas(sampler, num_steps), schedule.timesteps(sampler, num_steps)
        return dict(zip(levels, times, strict=False))

    def timestep(self, sigma: float) -> float:
        """What the network is told of a noise level."""
        if sigma in self.timesteps:
            return self.timesteps[sigma]
        return self.experts.schedule.timestep(self.config.sampler, sigma)

    @cached_property
    def rotary_emb(self) -> Tensor:
        """[N, 1, head_dim/2], the same for both experts."""
        network = next(iter(self.experts.networks.values()))
        grid = network.grid(self.config.latents_shape)
        head_dim = network.config.attention_head_dim
        return rotary_table(grid, head_dim, self.prompt_embeds.device)

    @cached_property
    def _contexts(self) -> dict[str, list[CrossContext]]:
        return {}

    def contexts(self, expert: str) -> list[CrossContext]:
        """An expert's keys and values of the prompts and the image."""
        if expert not in self._contexts:
            network = self.experts.networks[expert]
            self._contexts[expert] = network.embed_prompts(self.prompt_embeds, self.image_embeds)
        return self._contexts[expert]

    @cached_property
    def _tables(self) -> dict[str, TimestepTable]:
        return {}

    def table(self, expert: str) -> TimestepTable:
        """An expert's features of all timesteps of the schedule; in the last row, of 0."""
        if expert not in self._tables:
            self._tables[expert] = self.embed_timesteps(expert, [*self.timesteps.values(), 0.0])
        return self._tables[expert]

    def embed_timesteps(self, expert: str, timesteps: list[float]) -> TimestepTable:
        """An expert's features of some timesteps."""
        values = torch.tensor(timesteps, device=self.prompt_embeds.device)
        return self.experts.networks[expert].embed_timesteps(values)


def _is_equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)
