"""Trains the DiT together with its text encoders, by rectified flow on the VAE's latents."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.dit.model import DiT, DiTConfig
from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.rollout import Rollout
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.batches import ATTRIBUTES, SIGMA_LEAN, Batch, draw_batch
from train.device import device, moved
from train.latents import LONG_NUM_FRAMES, LatentClips
from train.loop import Metrics, Plan, Trainer, step_generator
from train.precision import autocast
from train.ranks import rank_zero_first
from train.text import MAX_PROMPT_TOKENS, TextEncoders, train_tokenizer
from train.vae import NUM_FRAMES

SHAPE_WEIGHT = 4.0
"""What makes shapes differ is small beside what all clips of a path have in common."""
LONG_EVERY = 5
"""Steps, one of which has clips of LONG_NUM_FRAMES: the same one on every rank."""
HEAD_DIM = 32
SHIFT = 6.0
SHIFT_OF_SAMPLERS = {"euler_ancestral": 4.0}
"""Where noise is drawn anew, what early steps decide is mended by later ones."""
GUIDANCE_FLOOR = 0.7
"""Guidance below this noise level spoils colours and outlines."""
ROLLOUT = Rollout(chunk_frames=3, context_frames=6)
READING_WEIGHT = 0.05
FROM_NOTHING = Plan(0, adamw_lr=0.0015, decay_share=0.5, ema_decay=0.998)
FURTHER = Plan(0, muon_lr=0.01, adamw_lr=0.0008, decay_share=1.0, ema_decay=0.998, save_every=100)
"""Weights that are good already would first be spoilt by the full rates."""


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

    def reading_loss(self, embeds: Tensor, pooled: Tensor, batch: Batch) -> Tensor:
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
    batch_size: int
    """Of each rank."""
    width: int
    num_blocks: int
    """Both of a network that begins from nothing."""
    sigma_lean: float = SIGMA_LEAN
    seed: int = 0


def train(weights: Path, latents_folder: Path, state_path: Path, course: Course) -> None:
    """Train for the course's steps in all; the weights written are the moving average.

    Goes on from the saved state, or else from the weights of an earlier training, whose part
    for sound stays as it is and has to learn anew what it sees.
    """
    torch.manual_seed(course.seed)
    clips = [LatentClips(latents_folder, length) for length in (NUM_FRAMES, LONG_NUM_FRAMES)]
    with rank_zero_first():
        if not (weights / "tokenizer" / "tokenizer.json").exists():
            train_tokenizer(weights)
    tokenizer = PromptTokenizer(weights / "tokenizer", MAX_PROMPT_TOKENS)
    channel_weights = channel_weights_of(weights)
    if (weights / "transformer" / "config.json").exists():
        model, plan = trained_before(weights), FURTHER
    else:
        config = DiTConfig(
            width=course.width, num_heads=course.width // HEAD_DIM, num_blocks=course.num_blocks
        )
        model, plan = TextToLatents(DiT(config)), FROM_NOTHING
    model.to(device())
    trainer = Trainer(model, state_path, replace(plan, num_steps=course.num_steps))
    trainer.resume()
    for block in model.dit.blocks:
        block.compile(dynamic=False)

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        some = clips[step % LONG_EVERY == 0]
        some.refresh()
        batch = draw_batch(
            some,
            tokenizer,
            step_generator(course.seed, step),
            batch_size=course.batch_size,
            sigma_lean=course.sigma_lean,
        )
        return _loss(model, moved(batch), channel_weights)

    trainer.run(loss_of_step, after_save=lambda: trainer.averaged.module.save(weights))


def trained_before(weights: Path) -> TextToLatents:
    """The weights of an earlier training, of which the picture's part learns on."""
    dit = ToyboxFamily(weights).load_dit(device()).train()
    dit.requires_grad_(requires_grad=True)
    if dit.audio is not None:
        dit.audio.requires_grad_(requires_grad=False)
    model = TextToLatents(dit)
    model.text.load(weights)
    return model


def _loss(model: TextToLatents, batch: Batch, channel_weights: Tensor) -> tuple[Tensor, Metrics]:
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


def channel_weights_of(weights: Path) -> Tensor:
    """Nearly empty latent channels count little: weights by variance, one on average."""
    std = torch.tensor(
        json.loads((weights / "vae" / "config.json").read_text())["latents_std"], device=device()
    )
    variance = std.square()
    return (variance / variance.mean()).clamp_min(0.05)


def _write_json(path: Path, described: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described, indent=2) + "\n")
