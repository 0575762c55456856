"""What blocks are made of; module names are those of the weights."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear
from telecine.engine.ltx2.rotary import RotaryTable

_TIME_FREQUENCIES = 128


class KeysValues(NamedTuple):
    """What an attention reads, ready to be attended to: [B, heads, N, head_dim] each."""

    keys: Tensor
    values: Tensor

    def rows(self, rows: tuple[int, ...]) -> "KeysValues":
        """Those of some of the batch, in that order."""
        if rows == tuple(range(len(self.keys))):
            return self
        return KeysValues(self.keys[list(rows)], self.values[list(rows)])


class DotProduct(nn.Module):
    """What queries find in keys and values; a module so that ranks can exchange around it."""

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """[B, heads, N or M, head_dim] each -> [B, heads, N, head_dim]."""
        return functional.scaled_dot_product_attention(queries, keys, values)


class Attention(nn.Module):
    """Attention whose queries and keys are normalised over all heads at once.

    Keys and values are made by a method of their own, so that those of the text can be made
    once for many steps. With gates every head is scaled by what its query's token says.

    Attributes:
        num_heads: heads that are here.
        first_head: the first of them among all, some of which may be on other devices.
    """

    def __init__(
        self, width: int, context_width: int, heads: tuple[int, int], *, is_gated: bool
    ) -> None:
        """`heads` is how many there are, and how many values each has."""
        super().__init__()
        self.num_heads, head_dim = heads
        self.first_head = 0
        self.attend = DotProduct()
        inner = self.num_heads * head_dim
        self.norm_q = nn.RMSNorm(inner, eps=1e-6)
        self.norm_k = nn.RMSNorm(inner, eps=1e-6)
        self.to_q = Linear(width, inner)
        self.to_k = Linear(context_width, inner)
        self.to_v = Linear(context_width, inner)
        self.to_out = nn.ModuleList([Linear(inner, width)])
        self.to_gate_logits = Linear(width, self.num_heads) if is_gated else None

    def keys_values(self, context: Tensor, rotary: RotaryTable | None = None) -> KeysValues:
        """[B, M, D] -> keys and values."""
        keys = self._heads(self.norm_k(self.to_k(context)))
        if rotary is not None:
            keys = rotary.of_heads(self.first_head, self.num_heads).rotate(keys)
        return KeysValues(keys, self._heads(self.to_v(context)))

    def forward(
        self,
        hidden: Tensor,
        context: KeysValues,
        rotary: RotaryTable | None = None,
        *,
        skipped_row: int | None = None,
    ) -> Tensor:
        """[B, N, D] -> [B, N, D].

        Of the batch's `skipped_row` every token attends to itself alone.
        """
        queries = self._heads(self.norm_q(self.to_q(hidden)))
        if rotary is not None:
            queries = rotary.of_heads(self.first_head, self.num_heads).rotate(queries)
        attended = self.attend(queries, *context)
        if skipped_row is not None:
            attended[skipped_row] = context.values[skipped_row]
        if self.to_gate_logits is not None:
            gates = 2.0 * torch.sigmoid(self.to_gate_logits(hidden))
            attended = attended * gates.transpose(1, 2)[..., None]
        return self.to_out[0](attended.transpose(1, 2).flatten(2))

    def _heads(self, values: Tensor) -> Tensor:
        return values.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, *, has_bias: bool = True) -> None:
        super().__init__()
        first = nn.ModuleDict({"proj": Linear(width, 4 * width, bias=has_bias)})
        # The weights count a dropout between the layers.
        self.net = nn.ModuleList([first, nn.Identity(), Linear(4 * width, width, bias=has_bias)])

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        inner = self.net[0]["proj"](hidden)  # type: ignore[index]
        return self.net[2](functional.gelu(inner, approximate="tanh"))


class TextProjection(nn.Module):
    """Brings the text's features to a modality's width."""

    def __init__(self, caption_channels: int, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(caption_channels, width)
        self.linear_2 = Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """[B, L, C] -> [B, L, D]."""
        return self.linear_2(functional.gelu(self.linear_1(features), approximate="tanh"))


class TimestepModulation(nn.Module):
    """Timesteps to `num_parameters` scales, shifts and gates (AdaLN-single, PixArt-alpha)."""

    def __init__(self, width: int, num_parameters: int) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.emb = nn.ModuleDict({"timestep_embedder": _TimestepEmbedder(width)})
        self.linear = Linear(width, num_parameters * width)

    def forward(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """`waves` of S timesteps -> parameters [S, num_parameters, D], and their embedding."""
        embedded = self.emb["timestep_embedder"](timesteps)
        parameters = self.linear(functional.silu(embedded))
        return parameters.unflatten(1, (self.num_parameters, -1)), embedded


class _TimestepEmbedder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(2 * _TIME_FREQUENCIES, width)
        self.linear_2 = Linear(width, width)

    def forward(self, timesteps: Tensor) -> Tensor:
        return self.linear_2(functional.silu(self.linear_1(timesteps)))


def waves(timesteps: Tensor) -> Tensor:
    """[S] -> cosines and sines of many frequencies, [S, 256] float32."""
    exponents = torch.arange(_TIME_FREQUENCIES, dtype=torch.float32, device=timesteps.device)
    frequencies = torch.exp(-math.log(10_000.0) * exponents / _TIME_FREQUENCIES)
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), 1)


def rms_norm(hidden: Tensor, eps: float) -> Tensor:
    """Root mean square normalisation of each token, without weights."""
    return functional.rms_norm(hidden, hidden.shape[-1:], eps=eps)


def modulate(hidden: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """[B, N, D], shifted and scaled by [1, D] each."""
    return torch.addcmul(shift, hidden, 1 + scale)
