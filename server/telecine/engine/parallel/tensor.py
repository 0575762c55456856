"""Splitting the layers of a network over ranks (tensor parallel, Shoeybi et al. 2019).

A layer that is split by columns keeps the rows of its weight that make this rank's heads or
hidden units; the layer after it, split by rows, adds up what all ranks made of theirs.
"""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate
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
