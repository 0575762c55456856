"""Splitting the layers of a network over ranks (tensor parallel, Shoeybi et al. 2019).

A layer that is split by columns keeps the rows of its weight that make this rank's heads or
hidden units; the layer after it, split by rows, adds up what all ranks made of theirs.
"""

from typing import Protocol

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

Plan = dict[str, ParallelStyle]
"""By the layer's path inside its block; `*` stands for any part of a path."""


def by_columns() -> ParallelStyle:
    """All of the input -> this rank's share of the output."""
    return ColwiseParallel()


def by_rows() -> ParallelStyle:
    """This rank's share of the input -> all of the output, summed over the ranks."""
    return RowwiseParallel()


def by_columns_gathered() -> ParallelStyle:
    """Share the weight alone: all of the input -> all of the output."""
    return ColwiseParallel(output_layouts=Replicate())


def apply_plan(block: nn.Module, mesh: DeviceMesh, plan: Plan) -> None:
    """Split the layers that the plan names; each rank holds its own part of them from then on.

    Every rank has read the same weights, so nothing is sent.
    """
    parallelize_module(block, mesh, plan, src_data_rank=None)
    for parameter in block.parameters():
        if isinstance(parameter, DTensor):
            own = parameter.to_local()
            own.data = own.data.clone()  # else it is a view, which keeps the whole in memory


def check_divisible(what: str, count: int, size: int, *, axis: str) -> None:
    """Raise ValueError where `count` things cannot be shared evenly by `size` ranks."""
    if count % size:
        raise ValueError(f"{axis}_parallel_size: {count} {what} cannot be shared by {size} ranks")


@torch.no_grad()
def interleave_parts(linear: nn.Linear, num_parts: int, size: int) -> None:
    """Reorder a layer that makes several things at once, queries and keys and values say.

    Its rows come part by part. Afterwards they come rank by rank, and within a rank part by
    part, so that a cut into `size` pieces gives every rank its heads of each part.
    """
    for parameter in linear.parameters():
        by_rank = parameter.unflatten(0, (num_parts, size, -1)).transpose(0, 1)
        parameter.copy_(by_rank.flatten(0, 2).clone())


class ScaledNorm(Protocol):
    """A root mean square norm with a weight for each channel."""

    weight: nn.Parameter
    eps: float


class SplitNorm(nn.Module):
    """A root mean square over all heads, of which this rank has some."""

    def __init__(self, norm: ScaledNorm, group: distributed.ProcessGroup) -> None:
        super().__init__()
        size, rank = distributed.get_world_size(group), distributed.get_rank(group)
        self._group = group
        self._num_channels = norm.weight.numel()
        self._eps = norm.eps
        own = norm.weight.detach().chunk(size)[rank].clone()
        self.weight = nn.Parameter(own, requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., this rank's channels] -> the same shape."""
        values = hidden.float()
        squares = values.square().sum(-1, keepdim=True)
        distributed.all_reduce(squares, group=self._group)
        scale = (squares / self._num_channels + self._eps).rsqrt()
        return (values * scale * self.weight).to(hidden.dtype)


def split_norms(attention: nn.Module, names: tuple[str, ...], mesh: DeviceMesh) -> None:
    """Replace an attention's norms over all heads, those that it has, by their split ones."""
    for name in names:
        norm = getattr(attention, name, None)
        if norm is not None:
            setattr(attention, name, SplitNorm(norm, mesh.get_group()))
