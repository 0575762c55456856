"""Where training computes: on this rank's GPU, or the CPU where there is none."""

import os
from dataclasses import fields, replace
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


@cache
def device() -> torch.device:
    """The GPU that torchrun gave this rank, the first where it is alone, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def moved(batch: Batch) -> Batch:
    """A dataclass with all its tensors there; they are drawn on the CPU, the same anywhere."""
    tensors = {
        field.name: value.to(device())
        for field in fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor)
    }
    return replace(batch, **tensors)
