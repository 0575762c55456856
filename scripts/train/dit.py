"""Trains the DiT together with its text encoders, by rectified flow on the VAE's latents."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.dit.attention import FULL_ATTENTION, TemporalMask
from telecine.engine.dit.model import DiT, DiTConfig
from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.rollout import Rollout
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.captions import any_caption
from train.latents import LatentClips
from train.loop import Metrics, Plan, Trainer, step_generator
from train.precision import autocast
from train.text import MAX_PROMPT_TOKENS, TextEncoders, train_tokenizer
from train.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES

BATCH = 32
CLIPS_ON_SHARED_PATHS = 16
"""Of a batch: clips that differ from their neighbours in the shape alone."""
SHAPE_WEIGHT = 4.0
"""What makes shapes differ is small beside what all clips of a path have in common."""
CAPTION_TOKENS = 24
"""Enough for every caption of the world; prompts may be longer."""
DROPPED_CAPTIONS = 0.1
SIGMA_LEAN, SIGMA_SPREAD = 1.4, 1.2
"""Noise levels are sigmoid(spread n + lean): between 0.8 and 0.97 the scene is decided.

Outlines are below that: a lean of 0.3 is for a network that knows its scenes.
"""
SHIFT = 6.0
SHIFT_OF_SAMPLERS = {"euler_ancestral": 4.0}
"""Where noise is drawn anew, what early steps decide is mended by later ones."""
GUIDANCE_FLOOR = 0.7
"""Guidance below this noise level spoils colours and outlines."""
ROLLOUT = Rollout(chunk_frames=3, context_frames=6)
CAUSAL_SHARE = 0.45
"""Batches trained with the causal mask; in most of them the first frames are clean already."""
READING_WEIGHT = 0.05
ATTRIBUTES = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "motion": MOTIONS,
    "background": tuple(BACKGROUNDS),
}
FROM_NOTHING = Plan(0, adamw_lr=0.0015, decay_share=0.5, ema_decay=0.998)
FURTHER = Plan(0, muon_lr=0.01, adamw_lr=0.0008, decay_share=1.0, ema_decay=0.998, save_every=100)
"""Weights that are good already would first be spoilt by the full rates."""
CONTEXT_SIGMA = 0.1
"""Frames that count as clean carry up to this much noise, so that their flaws do no harm."""


class TextToLatents(nn.Module):
    """What is trained: the DiT and its text encoders.

    `reader` names what a caption says from its encoding. It is trained along and thrown away:
    without it the encoders gave words that differ in direction alone the same features, as
    long as the DiT could do nothing with them, and the DiT found nothing to do with these.
    """

    def __init__(self, dit: DiT) -> None:
        super().__init__()
        self.dit = dit
        self.text = TextEncoders()
        width = self.dit.config.prompt_width + self.dit.config.pooled_width
        self.reader = nn.Linear(width, sum(map(len, ATTRIBUTES.values())))

    def reading_loss(self, embeds: Tensor, pooled: Tensor, batch: "_Batch") -> Tensor:
        """How badly the captions [B, L, P], [B, Q] can be read; those dropped do not count."""
        mask = batch.attention_mask[..., None].to(embeds.dtype)
        mean = (embeds * mask).sum(1) / mask.sum(1)
        logits = self.reader(torch.cat((mean, pooled), -1)).float()[batch.kept]
        parts = logits.split([len(names) for names in ATTRIBUTES.values()], -1)
        losses = [
            functional.cross_entropy(part, labels)
            for part, labels in zip(parts, batch.labels[batch.kept].T, strict=True)
        ]
        return torch.stack(losses).mean()

    def save(self, weights: Path) -> None:
        """Write every part of the weights folder but the VAE and the tokenizer."""
        save_part(self.dit, self.dit.config, weights / "transformer")
        self.text.save(weights)
        _write_json(
            weights / "scheduler" / "scheduler_config.json",
            {
                "shift": SHIFT,
                "shift_of_samplers": SHIFT_OF_SAMPLERS,
                "default_sampler": "euler_ancestral",
                "rollout": asdict(ROLLOUT),
                "guidance_floor": GUIDANCE_FLOOR,
            },
        )
        index = {"_class_name": "ToyboxPipeline", "max_prompt_tokens": MAX_PROMPT_TOKENS}
        _write_json(weights / "model_index.json", index)


@dataclass(frozen=True)
class Course:
    """What a run is about."""

    num_steps: int
    sigma_lean: float = SIGMA_LEAN
    seed: int = 0


def train(weights: Path, latents_folder: Path, state_path: Path, course: Course) -> None:
    """Train for the course's steps in all; the weights written are the moving average.

    Goes on from the saved state, or else from the weights of an earlier training, whose part
    for sound stays as it is and has to learn anew what it sees.
    """
    torch.manual_seed(course.seed)
    clips = LatentClips(latents_folder)
    clips.refresh()
    if not (weights / "tokenizer" / "tokenizer.json").exists():
        train_tokenizer(weights)
    tokenizer = PromptTokenizer(weights / "tokenizer", CAPTION_TOKENS)
    channel_weights = channel_weights_of(weights)
    if (weights / "transformer" / "config.json").exists():
        model, plan = trained_before(weights), FURTHER
    else:
        model, plan = TextToLatents(DiT(DiTConfig(num_blocks=6))), FROM_NOTHING
    trainer = Trainer(model, state_path, replace(plan, num_steps=course.num_steps))
    trainer.resume()
    for block in model.dit.blocks:
        block.compile(dynamic=False)

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        generator = step_generator(course.seed, step)
        batch = _draw_batch(clips, tokenizer, course.sigma_lean, generator)
        return _loss(model, batch, channel_weights)

    def after_save() -> None:
        trainer.averaged.module.save(weights)
        clips.refresh()

    trainer.run(loss_of_step, after_save)


def trained_before(weights: Path) -> TextToLatents:
    """The weights of an earlier training, of which the picture's part learns on."""
    dit = ToyboxFamily(weights).load_dit(torch.device("cpu")).train()
    dit.requires_grad_(requires_grad=True)
    if dit.audio is not None:
        dit.audio.requires_grad_(requires_grad=False)
    model = TextToLatents(dit)
    model.text.load(weights)
    return model


@dataclass(frozen=True)
class _Batch:
    """Clips on their way to noise, with their captions.

    Attributes:
        paths: the path of each clip [B]; those of one path share noise and noise level too.
        sigmas: noise levels by frame [B, T].
        is_context: frames [T] that are given rather than learnt.
        kept: captions [B] that are not dropped.
        labels: what the captions say [B, 4], by the order of ATTRIBUTES.
    """

    clean: Tensor
    noise: Tensor
    paths: Tensor
    sigmas: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    temporal_mask: TemporalMask
    is_context: Tensor
    kept: Tensor
    labels: Tensor


def _draw_batch(
    clips: LatentClips, tokenizer: PromptTokenizer, sigma_lean: float, generator: torch.Generator
) -> _Batch:
    chosen, paths = _choose(clips, generator)
    scenes = [clips.scenes[index] for index in chosen.tolist()]
    clean = clips.latents[chosen].float()
    captions = [any_caption(scene, generator) for scene in scenes]
    kept = torch.rand(BATCH, generator=generator) >= DROPPED_CAPTIONS
    input_ids, attention_mask = tokenize(tokenizer, captions, kept)
    sigma = torch.sigmoid(SIGMA_SPREAD * torch.randn(BATCH, generator=generator) + sigma_lean)
    noise = torch.randn(clean.shape, generator=generator)
    temporal_mask, is_context = _draw_mask(clean.shape[2], generator)
    context_sigma = CONTEXT_SIGMA * torch.rand(BATCH, generator=generator)
    sigmas = torch.where(is_context, context_sigma[:, None], sigma[:, None])
    labels = [
        [names.index(getattr(scene, attribute)) for attribute, names in ATTRIBUTES.items()]
        for scene in scenes
    ]
    return _Batch(
        clean,
        noise[paths],
        paths,
        sigmas[paths],
        input_ids,
        attention_mask,
        temporal_mask,
        is_context,
        kept,
        torch.tensor(labels),
    )


def _choose(clips: LatentClips, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The clips of a batch [B], and the numbers within it of the paths they follow [B]."""

    def draw(options: int) -> int:
        return int(torch.randint(options, (), generator=generator))

    groups: list[Sequence[int]] = []
    while sum(map(len, groups)) < CLIPS_ON_SHARED_PATHS:
        groups.append(clips.paths[draw(len(clips.paths))])
    groups += [[draw(len(clips.scenes))] for _ in range(BATCH - sum(map(len, groups)))]
    numbers = [number for number, group in enumerate(groups) for _ in group]
    return torch.tensor([clip for group in groups for clip in group]), torch.tensor(numbers)


def _loss(model: TextToLatents, batch: _Batch, channel_weights: Tensor) -> tuple[Tensor, Metrics]:
    level = batch.sigmas[:, None, :, None, None]
    with autocast():
        embeds, pooled = model.text(batch.input_ids, batch.attention_mask)
        velocity = model.dit(
            (1 - level) * batch.clean + level * batch.noise,
            batch.sigmas,
            embeds,
            pooled,
            attention_mask=batch.attention_mask,
            temporal_mask=batch.temporal_mask,
        )
        reading = model.reading_loss(embeds, pooled, batch)
    error = (velocity.float() - (batch.noise - batch.clean))[:, :, ~batch.is_context]
    loss = weighted_error(error, channel_weights)
    shape = weighted_error(error - _path_mean(error, batch.paths), channel_weights)
    metrics = {
        f"loss_{batch.temporal_mask.kind}": loss.item(),
        "shape": shape.item(),
        "reading": reading.item(),
    }
    return loss + (SHAPE_WEIGHT - 1) * shape + READING_WEIGHT * reading, metrics


def weighted_error(error: Tensor, channel_weights: Tensor) -> Tensor:
    """The mean square of [B, C, T, H, W], each channel [C] by its weight."""
    return (error.square().mean((0, 2, 3, 4)) * channel_weights).mean()


def _path_mean(error: Tensor, paths: Tensor) -> Tensor:
    """What the errors [B, ...] of clips of one path have in common, for each clip."""
    members = (paths[:, None] == paths[None, :]).to(error.dtype)
    share = members / members.sum(1, keepdim=True)
    return (share @ error.flatten(1)).view_as(error)


def _draw_mask(latent_frames: int, generator: torch.Generator) -> tuple[TemporalMask, Tensor]:
    """The mask of a batch, and which of its frames [T] are given as context."""
    is_context = torch.zeros(latent_frames, dtype=torch.bool)
    if float(torch.rand((), generator=generator)) >= CAUSAL_SHARE:
        return FULL_ATTENTION, is_context
    num_context = int(torch.randint(latent_frames, (), generator=generator))
    is_context[:num_context] = True
    return TemporalMask("causal"), is_context


def tokenize(
    tokenizer: PromptTokenizer, captions: list[str], kept: Tensor
) -> tuple[Tensor, Tensor]:
    """Captions -> input_ids and attention_mask [B, L] each; empty where they are not kept."""
    prompts = [text if keep else "" for text, keep in zip(captions, kept.tolist(), strict=True)]
    encoded = [tokenizer.encode(prompt) for prompt in prompts]
    return (
        torch.from_numpy(np.concatenate([prompt.input_ids for prompt in encoded])),
        torch.from_numpy(np.concatenate([prompt.attention_mask for prompt in encoded])),
    )


def channel_weights_of(weights: Path) -> Tensor:
    """Nearly empty latent channels count little: weights by variance, one on average."""
    std = torch.tensor(json.loads((weights / "vae" / "config.json").read_text())["latents_std"])
    variance = std.square()
    return (variance / variance.mean()).clamp_min(0.05)


def _write_json(path: Path, described: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described, indent=2) + "\n")
