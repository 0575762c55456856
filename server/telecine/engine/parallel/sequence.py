"""Moving tokens between the ranks that share a video (sequence parallel).

A tensor is cut along one axis on each rank; an all-to-all cuts it along another one instead.
So a layer that mixes along an axis always finds all of it on its own rank.
"""

from typing import NamedTuple

import torch
from torch import Tensor, distributed
from torch.nn import functional

Group = distributed.ProcessGroup


class HeadAxes(NamedTuple):
    """Where a tensor has its heads and its tokens, of which a rank holds all of one kind."""

    heads: int
    tokens: int


def own_part(tensor: Tensor, axis: int, group: Group) -> Tensor:
    """This rank's piece of a tensor that all ranks have; the last pieces are filled up by zeros."""
    size, rank = distributed.get_world_size(group), distributed.get_rank(group)
    return _padded(tensor, axis, size).chunk(size, axis)[rank]


def own_runs(run_lengths: tuple[int, ...], group: Group) -> tuple[int, ...]:
    """How much of each run of tokens lies in this rank's piece; what fills it up is the last's."""
    size, rank = distributed.get_world_size(group), distributed.get_rank(group)
    own_length = -(-sum(run_lengths) // size)
    first, end, start = rank * own_length, (rank + 1) * own_length, 0
    lengths = []
    for run_length in run_lengths:
        lengths.append(max(0, min(end, start + run_length) - max(first, start)))
        start += run_length
    lengths[-1] += own_length - sum(lengths)
    return tuple(lengths)


def gather_parts(part: Tensor, axis: int, length: int, group: Group) -> Tensor:
    """Undo `own_part` on every rank; `length` is the whole tensor's along `axis`."""
    part = part.contiguous()
    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(parts, part, group=group)
    return torch.cat(parts, axis).narrow(axis, 0, length)


def recut(part: Tensor, *, from_axis: int, to_axis: int, length: int, group: Group) -> Tensor:
    """From a piece along `from_axis` to this rank's piece along `to_axis`.

    Args:
        part: what `own_part` gives along `from_axis`.
        from_axis: along it the result is whole.
        to_axis: along it the result is a piece, filled up by zeros.
        length: the whole tensor's along `from_axis`.
        group: the ranks.
    """
    size = distributed.get_world_size(group)
    sent = torch.stack(_padded(part, to_axis, size).chunk(size, to_axis))
    received = torch.empty_like(sent)
    distributed.all_to_all_single(received, sent, group=group)
    return torch.cat(received.unbind(), from_axis).narrow(from_axis, 0, length)


def tokens_to_heads(
    tensors: tuple[Tensor, ...], axes: HeadAxes, *, num_tokens: int, group: Group
) -> tuple[Tensor, ...]:
    """All heads of own tokens -> own heads of all tokens (Ulysses, Jacobs et al. 2023).

    Args:
        tensors: of one shape, queries, keys and values say: they are sent together.
        axes: theirs.
        num_tokens: of all ranks.
        group: the ranks, who share the heads evenly.
    """
    sent = torch.stack(tensors)
    return recut(
        sent, from_axis=axes.tokens + 1, to_axis=axes.heads + 1, length=num_tokens, group=group
    ).unbind()


def heads_to_tokens(attended: Tensor, axes: HeadAxes, *, num_heads: int, group: Group) -> Tensor:
    """Undo `tokens_to_heads`; `num_heads` is of all ranks."""
    return recut(attended, from_axis=axes.heads, to_axis=axes.tokens, length=num_heads, group=group)


def _padded(tensor: Tensor, axis: int, size: int) -> Tensor:
    """Fill up to a multiple of `size` along `axis`."""
    missing = -tensor.shape[axis] % size
    if not missing:
        return tensor
    behind = [0, 0] * (tensor.ndim - 1 - axis % tensor.ndim) + [0, missing]
    return functional.pad(tensor, behind)
