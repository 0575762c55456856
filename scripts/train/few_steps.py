"""Trains an adapter with which the DiT needs few steps and no guidance.

The network is its own teacher: it walks from noise to clean latents in many guided steps, and
the adapter learns the straight lines between the points that few steps would touch, as
progressive distillation (Salimans and Ho 2022) does, but in one go and from the walks' own points.
"""

import math
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import trange

from telecine.engine.adapters.lora import Addition, Lora, applied
from telecine.engine.denoise import SamplingConfig
from telecine.engine.dit.model import DiT
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.families.toybox import ToyboxFamily
from telecine.engine.guidance import GuidedVelocity
from telecine.engine.latents import Latents
from train.batches import tokenize
from train.captions import any_caption
from train.device import device
from train.dit import channel_weights_of, weighted_error
from train.loop import Metrics, Plan, Trainer, save_whole, step_generator
from train.precision import autocast
from train.ranks import num_ranks, rank
from train.text import load_text
from train.vae import NUM_FRAMES, SIDE
from train.world import random_scene

NAME = "fast"
NUM_STEPS = 6
STEPS_OF_TEACHER = 4
"""For each of the few."""
RANK = 24
BATCH = 32


def write_walks(weights: Path, folder: Path, num_shards: int) -> None:
    """Write shards of 32 walks that are not there yet, each rank its own.

    A shard's number is its seed.
    """
    family = ToyboxFamily(weights)
    dit = family.load_dit(device())
    tokenizer, text = load_text(weights)
    config = _teacher(family)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in trange(rank(), num_shards, num_ranks(), mininterval=10):
        path = folder / f"{shard:04d}.pt"
        if path.exists():
            continue
        generator = torch.Generator().manual_seed(2_000_000 + shard)
        captions = [any_caption(random_scene(generator), generator) for _ in range(BATCH)]
        input_ids, attention_mask = tokenize(
            tokenizer, [""] * BATCH + captions, torch.ones(2 * BATCH).bool()
        )
        noise = torch.randn(BATCH, *config.latents_shape[1:], generator=generator)
        with torch.no_grad(), autocast():
            prompts = text.prompt(input_ids.to(device()), attention_mask.to(device()))
            points = walk(dit, config, noise.to(device()), prompts)
        walks = {
            "points": points.half().cpu(),
            "ids": input_ids[BATCH:],
            "mask": attention_mask[BATCH:],
        }
        save_whole(walks, path)


def train(weights: Path, folder: Path, state_path: Path, *, num_steps: int, seed: int = 0) -> None:
    """Train the adapter for `num_steps` in all and write loras/fast.safetensors."""
    torch.manual_seed(seed)
    family = ToyboxFamily(weights)
    dit = family.load_dit(device())
    _, text = load_text(weights)
    additions = Additions(dit).to(device())
    plan = Plan(num_steps, muon_lr=0.01, decay_share=0.8, ema_decay=0.995)
    trainer = Trainer(additions, state_path, plan)
    trainer.resume()
    shards = [torch.load(path, weights_only=True) for path in sorted(folder.glob("*.pt"))]
    points, ids, mask = (
        torch.cat([shard[name] for shard in shards]).to(device())
        for name in ("points", "ids", "mask")
    )
    sigmas = torch.tensor(_teacher(family).sigmas[::STEPS_OF_TEACHER], device=device())
    channel_weights = channel_weights_of(weights)

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        generator = step_generator(seed, step)
        chosen = torch.randint(len(points), (BATCH,), generator=generator).to(device())
        at = torch.randint(NUM_STEPS, (BATCH,), generator=generator).to(device())
        here, there = points[chosen, at].float(), points[chosen, at + 1].float()
        width = (sigmas[at + 1] - sigmas[at])[:, None, None, None, None]
        with autocast():
            with torch.no_grad():
                embeds, pooled = text(ids[chosen], mask[chosen])
            velocity = dit(here, sigmas[at], embeds, pooled, attention_mask=mask[chosen])
        error = velocity.float() - (there - here) / width
        loss = weighted_error(error, channel_weights)
        return loss, {"loss": loss.item()}

    with applied({"transformer": dit}, [(additions.lora(), 1.0)]):
        for block in dit.blocks:
            block.compile(dynamic=False)
        path = weights / "loras" / f"{NAME}.safetensors"
        trainer.run(loss_of_step, after_save=lambda: trainer.averaged.module.save(path))


class Additions(nn.Module):
    """What is trained: a low-rank addition to each linear layer of the picture's blocks."""

    def __init__(self, dit: DiT) -> None:
        super().__init__()
        self._names = [
            name
            for name, layer in dit.named_modules()
            if isinstance(layer, nn.Linear) and name.startswith("blocks.")
        ]
        layers = [dit.get_submodule(name) for name in self._names]
        self.downs = nn.ParameterList(
            torch.randn(RANK, layer.in_features) / math.sqrt(layer.in_features) for layer in layers
        )
        self.ups = nn.ParameterList(torch.zeros(layer.out_features, RANK) for layer in layers)

    def lora(self) -> Lora:
        """The adapter as the engine applies it; it learns there."""
        layers = zip(self._names, self.downs, self.ups, strict=True)
        return Lora({"transformer": {name: Addition(down, up, None) for name, down, up in layers}})

    def save(self, path: Path) -> None:
        """Write it as PEFT does."""
        path.parent.mkdir(exist_ok=True)
        tensors = {}
        for name, down, up in zip(self._names, self.downs, self.ups, strict=True):
            tensors[f"transformer.{name}.lora_A.weight"] = down.detach().bfloat16().contiguous()
            tensors[f"transformer.{name}.lora_B.weight"] = up.detach().bfloat16().contiguous()
        save_file(tensors, path)


def _teacher(family: ToyboxFamily) -> SamplingConfig:
    """How the teacher walks; every fourth of its noise levels is one of the few."""
    card = family.card
    return sampling_config(
        family,
        VideoSize(NUM_FRAMES, SIDE, SIDE, card.fps),
        SamplingRequest(
            seed=0,
            num_inference_steps=NUM_STEPS * STEPS_OF_TEACHER,
            guidance_scale=card.default_guidance_scale,
            sampler="euler",
            attention="full",
        ),
    )


Encoded = tuple[Tensor, Tensor, Tensor]
"""Embeds [B, L, P], pooled [B, Q], and the mask [B, L]."""


def walk(dit: nn.Module, config: SamplingConfig, latents: Tensor, prompts: Encoded) -> Tensor:
    """Noise [B, C, T, H, W] -> the points [B, steps + 1, C, T, H, W] that few steps touch.

    The prompts are the negative ones, then those to follow.
    """
    embeds, pooled, mask = (tensor.chunk(2)[1] for tensor in prompts)
    velocity = GuidedVelocity(
        config,
        alone=lambda: partial(_predict, dit, (embeds, pooled, mask)),
        both=lambda: partial(_predict, dit, prompts),
    )
    points = [latents]
    for index, (sigma, next_sigma) in enumerate(pairwise(config.sigmas), 1):
        latents = latents + (next_sigma - sigma) * velocity(Latents(latents), sigma).video
        if index % STEPS_OF_TEACHER == 0:
            points.append(latents)
    return torch.stack(points, 1)


def _predict(dit: nn.Module, prompts: Encoded, latents: Latents, sigma: float) -> Latents:
    embeds, pooled, mask = prompts
    video = latents.video.repeat(len(embeds) // len(latents.video), 1, 1, 1, 1)
    timesteps = torch.full((len(video),), sigma, device=video.device)
    return Latents(dit(video, timesteps, embeds, pooled, attention_mask=mask).float())
