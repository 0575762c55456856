"""In which numbers a training step computes."""

import torch


def autocast() -> torch.autocast:
    """Return bfloat16 where this CPU multiplies it, else float32.

    A CPU without such instructions emulates them: 40 times slower than float32.
    """
    is_fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=is_fast)
