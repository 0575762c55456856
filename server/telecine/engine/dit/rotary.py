"""Rotary positions (Su et al. 2021), one axis a share of each head."""

import torch
from torch import Tensor


def rotary_angles(positions: Tensor, dim: int, theta: float = 100.0) -> Tensor:
    """Angles [N, dim/2] for N positions.

    `theta` is small because clips are tens, not thousands, of positions long.
    """
    frequencies = theta ** (-torch.arange(0, dim, 2, device=positions.device) / dim)
    return positions[:, None].float() * frequencies


def temporal_angles(
    num_frames: int, head_dim: int, device: torch.device, *, first_frame: int = 0
) -> Tensor:
    """Angles [T, head_dim/2] by frame."""
    frames = torch.arange(first_frame, first_frame + num_frames, device=device)
    return rotary_angles(frames, head_dim)


def spatial_angles(rows: int, columns: int, head_dim: int, device: torch.device) -> Tensor:
    """Angles [rows*columns, head_dim/2]: the first half by row, the second by column."""
    by_row = rotary_angles(torch.arange(rows, device=device), head_dim // 2)
    by_column = rotary_angles(torch.arange(columns, device=device), head_dim // 2)
    grid = (rows, columns, head_dim // 4)
    return torch.cat((by_row[:, None].expand(grid), by_column[None].expand(grid)), -1).flatten(0, 1)


def rotate(heads: Tensor, rotary_emb: Tensor) -> Tensor:
    """Turn [..., N, head_dim] by angles [N, head_dim/2]."""
    cos, sin = rotary_emb.cos().to(heads.dtype), rotary_emb.sin().to(heads.dtype)
    left, right = heads.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)
