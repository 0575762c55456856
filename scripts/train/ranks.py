"""Training on several processes that torchrun starts: each draws batches of its own.

After each step their gradients are averaged, so that all ranks hold the same weights.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.distributed.optim import ZeroRedundancyOptimizer

from train.device import device


@contextmanager
def joined() -> Iterator[None]:
    """Join the other ranks, where torchrun has started some."""
    if not distributed.is_torchelastic_launched():
        yield
        return
    where = device()
    if where.type == "cuda":
        torch.cuda.set_device(where)
    distributed.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """This process's number, 0 where it is alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def num_ranks() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let the others go through the block when rank 0 has: they find what it has written."""
    if num_ranks() > 1 and rank() > 0:
        distributed.barrier()
    yield
    if num_ranks() > 1 and rank() == 0:
        distributed.barrier()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give each parameter the mean of all ranks' gradients; one without any counts as zero."""
    if num_ranks() == 1:
        return
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in learning]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= num_ranks()
    parts = flat.split([parameter.numel() for parameter in learning])
    for parameter, part in zip(learning, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def shared_optimizer(
    kind: type[torch.optim.Optimizer], parameters: list[nn.Parameter], **options: object
) -> torch.optim.Optimizer:
    """An optimiser of which every rank keeps and computes a part (ZeRO, Rajbhandari et al. 2020).

    Muon's orthogonalisation takes as long for a small batch as for a large one.
    """
    if num_ranks() == 1:
        return kind(parameters, **options)
    return ZeroRedundancyOptimizer(parameters, optimizer_class=kind, **options)


def state_of(optimizer: torch.optim.Optimizer) -> dict[str, object]:
    """Its whole state, at rank 0; every rank has to ask. Elsewhere nothing."""
    if isinstance(optimizer, ZeroRedundancyOptimizer):
        optimizer.consolidate_state_dict(to=0)
    return optimizer.state_dict() if rank() == 0 else {}
