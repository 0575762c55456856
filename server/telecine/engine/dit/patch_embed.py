"""3D patches: latents to tokens and back."""

import torch
from torch import Tensor, nn

from telecine.engine.dit.places import NUM_WAVES, even_shares, waves
from telecine.engine.linear import Linear

PatchSize = tuple[int, int, int]


def patchify(latents: Tensor, patch_size: PatchSize) -> Tensor:
    """[B, C, T, H, W] -> [B, T/p, (H/q)(W/r), C*p*q*r]: tokens frame by frame."""
    batch_size, channels, frames, height, width = latents.shape
    p, q, r = patch_size
    patches = latents.reshape(batch_size, channels, frames // p, p, height // q, q, width // r, r)
    patches = patches.permute(0, 2, 4, 6, 1, 3, 5, 7)
    return patches.flatten(4).flatten(2, 3)


def unpatchify(tokens: Tensor, patch_size: PatchSize, height: int, width: int) -> Tensor:
    """Undo `patchify`; `height` and `width` are the latents'."""
    p, q, r = patch_size
    batch_size, frames = tokens.shape[:2]
    patches = tokens.reshape(batch_size, frames, height // q, width // r, -1, p, q, r)
    patches = patches.permute(0, 4, 1, 5, 2, 6, 3, 7)
    return patches.reshape(batch_size, -1, frames * p, height, width)


class PatchEmbed(nn.Module):
    """Projects every 3D patch to one token, and adds where in the frame it lies."""

    def __init__(self, in_channels: int, width: int, patch_size: PatchSize) -> None:
        super().__init__()
        self.patch_size = patch_size
        p, q, r = patch_size
        self.projection = Linear(in_channels * p * q * r, width)
        self.position = Linear(4 * NUM_WAVES, width, bias=False)
        nn.init.zeros_(self.position.weight)

    def forward(self, latents: Tensor) -> Tensor:
        """[B, C, T, H, W] -> [B, T/p, (H/q)(W/r), D]."""
        rows, columns = (
            side // patch
            for side, patch in zip(latents.shape[-2:], self.patch_size[1:], strict=True)
        )
        places = _frame_places(rows, columns, latents.device).to(self.position.weight.dtype)
        tokens: Tensor = self.projection(patchify(latents, self.patch_size))
        tokens += self.position(places)  # in place: there is nothing larger
        return tokens


def _frame_places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Places as shares of the frame's sides, in waves [rows * columns, 4 * NUM_WAVES]."""
    grid = (rows, columns, 2 * NUM_WAVES)
    by_row, by_column = (waves(even_shares(count, device)) for count in (rows, columns))
    places = (by_row[:, None].expand(grid), by_column[None].expand(grid))
    return torch.cat(places, -1).flatten(0, 1)
