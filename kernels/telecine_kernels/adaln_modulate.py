"""AdaLN modulate (Peebles and Xie 2023): LayerNorm without weights, then scale and shift.

Every block of the DiT does it three times. PyTorch reads and writes the tokens once for
the norm and twice for the modulation; the kernel reads and writes them once in all.
"""

import torch
from torch import Tensor
from torch.nn import functional

try:
    import triton
    from triton import language as tl
except ModuleNotFoundError:  # triton-lang comes with the `gpu` extra, not with a CPU's torch
    triton = None

# A row must fit one program's registers; wider models than this take the reference.
MAX_WIDTH = 16384


def adaln_modulate(x: Tensor, shift: Tensor, scale: Tensor, eps: float) -> Tensor:
    """norm(x) * (1 + scale) + shift, by the kernel where it can run, else by PyTorch.

    Args:
        x: tokens [B, N, D], any floating type; the norm is taken in float32.
        shift: what is added to every token of a sample, [B, D].
        scale: what every token of a sample is multiplied by, less one, [B, D].
        eps: added to the variance.

    Returns:
        The modulated tokens [B, N, D], of x's type.
    """
    if _can_use_kernel(x, shift, scale):
        return adaln_modulate_kernel(x, shift, scale, eps)
    return adaln_modulate_reference(x, shift, scale, eps)


def adaln_modulate_reference(x: Tensor, shift: Tensor, scale: Tensor, eps: float) -> Tensor:
    """`adaln_modulate` in plain PyTorch: the definition, and the way with gradients."""
    normed = functional.layer_norm(x.float(), x.shape[-1:], eps=eps)
    modulated = normed * (1.0 + scale[:, None].float()) + shift[:, None].float()
    return modulated.to(x.dtype)


def adaln_modulate_kernel(x: Tensor, shift: Tensor, scale: Tensor, eps: float) -> Tensor:
    """`adaln_modulate` in one pass over the tokens; forward only."""
    x, shift, scale = x.contiguous(), shift.contiguous(), scale.contiguous()
    batch_size, num_tokens, width = x.shape
    modulated = torch.empty_like(x)
    block_width = triton.next_power_of_2(width)
    _adaln_modulate_row[(batch_size * num_tokens,)](
        x,
        shift,
        scale,
        modulated,
        num_tokens,
        width,
        eps,
        BLOCK_WIDTH=block_width,
        num_warps=min(16, max(1, block_width // 256)),
    )
    return modulated


def _can_use_kernel(x: Tensor, shift: Tensor, scale: Tensor) -> bool:
    needs_gradients = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (x, shift, scale)
    )
    is_on_gpu = triton is not None and x.is_cuda
    return is_on_gpu and not needs_gradients and x.shape[-1] <= MAX_WIDTH


if triton is not None:

    @triton.jit
    def _adaln_modulate_row(
        x_pointer,
        shift_pointer,
        scale_pointer,
        modulated_pointer,
        num_tokens,
        width,
        eps,
        BLOCK_WIDTH: tl.constexpr,
    ):
        # One program normalises one token, all of it in registers.
        row = tl.program_id(0).to(tl.int64)
        sample = row // num_tokens
        columns = tl.arange(0, BLOCK_WIDTH)
        is_inside = columns < width

        x = tl.load(x_pointer + row * width + columns, mask=is_inside, other=0.0).to(tl.float32)
        mean = tl.sum(x, axis=0) / width
        centred = tl.where(is_inside, x - mean, 0.0)
        variance = tl.sum(centred * centred, axis=0) / width
        normed = centred * tl.rsqrt(variance + eps)

        vector = sample * width + columns
        shift = tl.load(shift_pointer + vector, mask=is_inside, other=0.0).to(tl.float32)
        scale = tl.load(scale_pointer + vector, mask=is_inside, other=0.0).to(tl.float32)
        modulated = normed * (1.0 + scale) + shift
        modulated = modulated.to(modulated_pointer.dtype.element_ty)
        tl.store(modulated_pointer + row * width + columns, modulated, mask=is_inside)
