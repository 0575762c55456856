"""Places of the tokens, as turns whose speeds the network has learnt, head by head."""

import torch
from torch import Tensor

_TRAINED_AREA = 192 * 192


def rotary_table(pos_frequencies: Tensor, *, frames: int, rows: int, columns: int) -> Tensor:
    """Turns [N, heads, head_dim/2], complex, of tokens in the order frames, rows, columns.

    `pos_frequencies` is [3, heads, head_dim/2], by axis. Rows and columns are spread over the
    area that the network was trained on, whatever the video's size.
    """
    device = pos_frequencies.device
    scale = (_TRAINED_AREA / (rows * columns)) ** 0.5
    places = (
        torch.arange(frames, device=device, dtype=torch.float32),
        _centres(rows, scale, device),
        _centres(columns, scale, device),
    )
    grid = torch.stack(torch.meshgrid(*places, indexing="ij"), -1).view(-1, 3)
    angles = torch.einsum("na,ahd->nhd", grid, pos_frequencies.float())
    return torch.polar(torch.ones_like(angles), angles)


def _centres(count: int, scale: float, device: torch.device) -> Tensor:
    """Middles of `count` equal parts of a side that is centred at 0."""
    half = count * scale / 2
    edges = torch.linspace(-half, half, count + 1, device=device)
    return (edges[:-1] + edges[1:]) / 2
