"""Where tokens stand in time and space, and how attention learns of it.

Rotary embeddings (Su et al. 2021) over positions that are shares of a largest extent, of
seconds in time and of pixels in space, so that sound and picture share one clock.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from telecine.engine.ltx2.config import LTX2Config, RopeType


class RotaryTable(NamedTuple):
    """Cosines and sines of the angles that tokens' queries and keys are turned by."""

    cos: Tensor
    """[1, heads, N, head_dim / 2] float32"""
    sin: Tensor
    rope_type: RopeType

    def of_heads(self, first: int, count: int) -> "RotaryTable":
        """The table of some of the heads."""
        heads = slice(first, first + count)
        return self._replace(cos=self.cos[:, heads], sin=self.sin[:, heads])

    def rotate(self, values: Tensor) -> Tensor:
        """[B, heads, N, head_dim] -> the same shape and dtype."""
        if self.rope_type == "split":
            first, second = values.float().chunk(2, -1)
        else:
            first, second = values.float().unflatten(-1, (-1, 2)).unbind(-1)
        turned = (
            first * self.cos - second * self.sin,
            second * self.cos + first * self.sin,
        )
        joined = (
            torch.cat(turned, -1)
            if self.rope_type == "split"
            else torch.stack(turned, -1).flatten(-2)
        )
        return joined.to(values.dtype)


class RotaryTables(NamedTuple):
    """One table for each attention: within a modality, and between the two, by time alone."""

    video: RotaryTable
    audio: RotaryTable
    cross_video: RotaryTable
    cross_audio: RotaryTable


def rotary_tables(
    config: LTX2Config,
    latent_size: tuple[int, int, int],
    audio_frames: int,
    *,
    fps: float,
    device: torch.device,
) -> RotaryTables:
    """Tables for latents of `latent_size` (T, H, W) and `audio_frames` of sound."""
    video = _video_positions(config, latent_size, fps).to(device)
    audio = _audio_positions(config, audio_frames).to(device)
    longest = max(config.pos_embed_max_pos, config.audio_pos_embed_max_pos)
    extents = torch.tensor(
        [config.pos_embed_max_pos, config.base_height, config.base_width], device=device
    )
    heads, audio_heads = config.num_attention_heads, config.audio_num_attention_heads
    cross_width = config.audio_cross_attention_dim
    return RotaryTables(
        video=rotary_table(config, video / extents, config.width, heads),
        audio=rotary_table(
            config, audio / config.audio_pos_embed_max_pos, config.audio_width, audio_heads
        ),
        cross_video=rotary_table(config, video[:, :1] / longest, cross_width, audio_heads),
        cross_audio=rotary_table(config, audio / longest, cross_width, audio_heads),
    )


class RotaryOptions(NamedTuple):
    """How angles follow from positions."""

    rope_theta: float
    rope_double_precision: bool
    rope_type: RopeType


def rotary_table(
    options: LTX2Config | RotaryOptions, positions: Tensor, width: int, num_heads: int
) -> RotaryTable:
    """The table for `positions` [N, axes], each from 0 to about 1."""
    num_axes = positions.shape[1]
    exponents = torch.linspace(
        0.0,
        1.0,
        width // (2 * num_axes),
        dtype=torch.float64 if options.rope_double_precision else torch.float32,
        device=positions.device,
    )
    frequencies = (torch.pow(options.rope_theta, exponents) * torch.pi / 2.0).float()
    angles = ((2 * positions - 1)[..., None] * frequencies).transpose(1, 2).flatten(1)
    # A width that the axes cannot share out evenly has its first values stand still.
    angles = torch.nn.functional.pad(angles, (width // 2 - angles.shape[1], 0))
    angles = angles.unflatten(1, (num_heads, -1)).transpose(0, 1)[None]
    return RotaryTable(angles.cos(), angles.sin(), options.rope_type)


def _video_positions(config: LTX2Config, latent_size: tuple[int, int, int], fps: float) -> Tensor:
    """[N, 3]: the middle of each token in seconds and in pixels downwards and to the right."""
    scales = config.vae_scale_factors
    frames, rows, columns = (torch.arange(size + 1, dtype=torch.float32) for size in latent_size)
    # The first latent frame stands for one frame, later ones for `scales[0]` each.
    edges = (
        (frames * scales[0] + config.causal_offset - scales[0]).clamp(min=0) / fps,
        rows * scales[1],
        columns * scales[2],
    )
    grid = torch.meshgrid(*(_middles(each) for each in edges), indexing="ij")
    return torch.stack(grid, -1).flatten(0, 2)


def _audio_positions(config: LTX2Config, audio_frames: int) -> Tensor:
    """[N, 1]: the middle of each token in seconds."""
    scale = config.audio_scale_factor
    frames = torch.arange(audio_frames + 1, dtype=torch.float32)
    edges = (frames * scale + config.causal_offset - scale).clamp(min=0)
    return _middles(edges * config.audio_hop_length / config.audio_sampling_rate)[:, None]


def _middles(edges: Tensor) -> Tensor:
    return (edges[:-1] + edges[1:]) / 2.0
