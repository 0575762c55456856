"""Rotary positions in time, height and width (Su et al. 2021), a share of each head an axis."""

from typing import NamedTuple

import torch
from torch import Tensor

_THETA = 10000.0


class Grid(NamedTuple):
    """Tokens of a video along each axis."""

    frames: int
    rows: int
    columns: int

    @property
    def num_tokens(self) -> int:
        """N."""
        return self.frames * self.rows * self.columns


def rotary_table(grid: Grid, head_dim: int, device: torch.device) -> Tensor:
    """Return complex factors [N, 1, head_dim/2]: each turns one pair of neighbouring channels."""
    spatial_dim = 2 * (head_dim // 6)
    dims = (head_dim - 2 * spatial_dim, spatial_dim, spatial_dim)
    axes = []
    for axis, (size, dim) in enumerate(zip(grid, dims, strict=True)):
        frequencies = _THETA ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles = torch.outer(torch.arange(size, dtype=torch.float64), frequencies)
        shape = [1, 1, 1, dim // 2]
        shape[axis] = size
        axes.append(angles.view(shape).expand(*grid, -1))
    angles = torch.cat(axes, -1).flatten(0, 2)[:, None]
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64).to(device)


def rotate_(heads: Tensor, table: Tensor) -> Tensor:
    """Turn [B, N, heads, head_dim] by a table [N, 1, head_dim/2]; in place where in float32."""
    pairs = torch.view_as_complex(heads.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs.mul_(table)).flatten(-2).to(heads.dtype)
