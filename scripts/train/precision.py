"""In which numbers a training step computes."""

import time
from functools import cache

import torch
from torch import Tensor, nn

from train.device import device

_TOKENS, _WIDTH = 2048, 256
_ROUNDS = 5


def autocast() -> torch.autocast:
    """Return bfloat16 on a GPU and where this CPU multiplies it faster than float32.

    That a CPU has instructions for it says too little: one needed twice the time, and one
    that emulates them forty times.
    """
    kind = device().type
    is_enabled = kind != "cpu" or _is_bfloat16_faster()
    return torch.autocast(kind, torch.bfloat16, enabled=is_enabled)


@cache
def _is_bfloat16_faster() -> bool:
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return has_instructions and _seconds(torch.bfloat16) < _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    tokens = torch.ones(_TOKENS, _WIDTH, dtype=dtype)
    weight = torch.ones(4 * _WIDTH, _WIDTH, dtype=dtype)
    return min(_seconds_once(tokens, weight) for _ in range(_ROUNDS))


def _seconds_once(tokens: Tensor, weight: Tensor) -> float:
    start = time.perf_counter()
    nn.functional.linear(tokens, weight)
    return time.perf_counter() - start
