"""Which device a model runs on, and when that has finished."""

import torch


def choose_device(rank: int = 0) -> torch.device:
    """Return the GPU of a rank where there are GPUs, else the CPU.

    Raises:
        ValueError: there are too few GPUs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if rank >= torch.cuda.device_count():
        raise ValueError(f"rank {rank}: there are only {torch.cuda.device_count()} GPUs")
    return torch.device("cuda", rank)


def wait_for(device: torch.device) -> None:
    """Return once the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
