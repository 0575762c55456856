"""Batches to train the DiT on: clips on their way to noise, with their captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from telecine.engine.dit.attention import FULL_ATTENTION, TemporalMask
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.captions import any_caption
from train.face import FACE, VOWELS
from train.latents import Kind, LatentClips
from train.pair import RELATIONS, PairScene, moving_of
from train.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, Scene

SHARED_PATHS_SHARE = 0.5
"""Of a batch: clips that differ from their neighbours in the shape alone."""
DROPPED_CAPTIONS = 0.1
KIND_SHARES: dict[Kind, float] = {"shape": 0.36, "face": 0.32, "pair": 0.32}
"""Of a batch's clips, whatever there is of each: what is harder to learn is shown more often."""
SIGMA_LEAN, SIGMA_SPREAD = 1.4, 1.2
"""Noise levels are sigmoid(spread n + lean): between 0.8 and 0.97 the scene is decided.

Outlines are below that: a lean of 0.3 is for a network that knows its scenes.
"""
CAUSAL_SHARE = 0.3
"""Batches trained with the causal mask; in most of them the first frames are clean already."""
CONTEXT_SIGMA = 0.1
"""Frames that count as clean carry up to this much noise, so that their flaws do no harm."""
_NOTHING = "nothing"
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": (*SHAPES, FACE),
    "motion": (*MOTIONS, *VOWELS),
    "background": tuple(BACKGROUNDS),
    "relation": (*RELATIONS, _NOTHING),
    "colour beside": (*COLOURS, _NOTHING),
    "shape beside": (*SHAPES, _NOTHING),
}


@dataclass(frozen=True)
class Batch:
    """Clips on their way to noise, with their captions.

    Attributes:
        paths: the path of each clip [B]; those of one path share noise and noise level too.
        sigmas: noise levels by frame [B, T].
        is_context: frames [T] that are given rather than learnt.
        kept: captions [B] that are not dropped.
        labels: what the captions say [B, 7], by the order of ATTRIBUTES.
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


def draw_batch(
    clips: LatentClips,
    tokenizer: PromptTokenizer,
    generator: torch.Generator,
    *,
    batch_size: int,
    sigma_lean: float,
) -> Batch:
    """Draw a batch from clips of one length, with noise levels around `sigma_lean`."""
    chosen, paths = _choose(clips, batch_size, generator)
    scenes = [clips.scenes[index] for index in chosen.tolist()]
    clean = clips.latents[chosen].float()
    captions = [any_caption(scene, generator) for scene in scenes]
    kept = torch.rand(batch_size, generator=generator) >= DROPPED_CAPTIONS
    input_ids, attention_mask = tokenize(tokenizer, captions, kept)
    sigma = torch.sigmoid(SIGMA_SPREAD * torch.randn(batch_size, generator=generator) + sigma_lean)
    noise = torch.randn(clean.shape, generator=generator)
    temporal_mask, is_context = _draw_mask(clean.shape[2], generator)
    context_sigma = CONTEXT_SIGMA * torch.rand(batch_size, generator=generator)
    sigmas = torch.where(is_context, context_sigma[:, None], sigma[:, None])
    return Batch(
        clean,
        noise[paths],
        paths,
        sigmas[paths],
        input_ids,
        attention_mask,
        temporal_mask,
        is_context,
        kept,
        torch.tensor([_labels(scene) for scene in scenes]),
    )


def _labels(scene: Scene | PairScene) -> list[int]:
    """What a caption of the scene says, as numbers of ATTRIBUTES."""
    moving = moving_of(scene)
    beside = scene.beside if isinstance(scene, PairScene) else (_NOTHING,) * 3
    said = (moving.colour, moving.shape, moving.motion, moving.background, *beside)
    return [names.index(name) for names, name in zip(ATTRIBUTES.values(), said, strict=True)]


def _choose(
    clips: LatentClips, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The clips of a batch [B], and the numbers within it of the paths they follow [B]."""
    groups: list[Sequence[int]] = []
    while sum(map(len, groups)) < SHARED_PATHS_SHARE * batch_size:
        groups.append(clips.draw_path(KIND_SHARES, generator))
    for _ in range(batch_size - sum(map(len, groups))):
        groups.append([clips.draw_clip(KIND_SHARES, generator)])
    chosen = [clip for group in groups for clip in group]
    numbers = [number for number, group in enumerate(groups) for _ in group]
    return torch.tensor(chosen[:batch_size]), torch.tensor(numbers[:batch_size])


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
