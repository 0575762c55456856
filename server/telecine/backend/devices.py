"""Which device a model runs on, when that has finished, and how tensors get there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def choose_device(rank: int = 0) -> torch.device:
    """Return the GPU of a rank where there are GPUs, else the CPU; kernels are launched there.

    Raises:
        ValueError: there are too few GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if rank >= torch.cuda.device_count():
        raise ValueError(f"rank {rank}: there are only {torch.cuda.device_count()} GPUs")
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)


def wait_for(device: torch.device) -> None:
    """Return once the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def memory_given_back(device: torch.device) -> Iterator[None]:
    """Have a GPU's memory that a block took for a while free for its other processes again."""
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()


def batch_of_one(
    arrays: Mapping[str, NDArray[Any]], device: torch.device
) -> dict[str, torch.Tensor]:
    """Bring one video's tensors to a device, each as a batch of one."""
    return {
        name: torch.from_numpy(np.array(values))[None].to(device) for name, values in arrays.items()
    }
