"""One block: self attention, cross attention, feed-forward."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear
from telecine.engine.wan.attention import CrossAttention, CrossContext, SelfAttention
from telecine.engine.wan.config import WanConfig
from telecine.engine.wan.modulation import Modulation, add_gated_, modulated_norm


class _Projection(nn.Module):
    """A linear layer with the name that diffusers' activations give theirs."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.proj = Linear(in_features, out_features)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., E]."""
        return self.proj(hidden)


class FeedForward(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(
        self, in_features: int, inner_features: int, out_features: int, *, approximate: str
    ) -> None:
        super().__init__()
        self.approximate = approximate
        self.net = nn.ModuleList(
            [
                _Projection(in_features, inner_features),
                nn.Identity(),
                Linear(inner_features, out_features),
            ]
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., E]."""
        inner = self.net[0](hidden)
        # In place: the widest tensor of the network is not made twice.
        return self.net[2](torch.ops.aten.gelu_(inner, approximate=self.approximate))


class Block(nn.Module):
    """Attention within the video, attention to the prompt, feed-forward, by the timestep."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.attn1 = SelfAttention(config)
        self.attn2 = CrossAttention(config)
        self.norm2 = (
            nn.LayerNorm(config.width, config.eps) if config.cross_attn_norm else nn.Identity()
        )
        self.ffn = FeedForward(config.width, config.ffn_dim, config.width, approximate="tanh")
        self.scale_shift_table = nn.Parameter(torch.zeros(1, 6, config.width))

    def forward(
        self, hidden: Tensor, modulation: Modulation, rotary_emb: Tensor, context: CrossContext
    ) -> Tensor:
        """[B, N, D] -> [B', N, D], B' the prompts in `context`; `hidden` is overwritten.

        Until the prompts are looked at, tokens that are the same for all need not be repeated.
        """
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (
            self.scale_shift_table + modulation.projected
        ).unbind(1)
        runs = modulation.run_lengths
        normed = modulated_norm(hidden, shift, scale, run_lengths=runs, eps=self.eps)
        add_gated_(hidden, self.attn1(normed, rotary_emb), gate, run_lengths=runs)
        hidden = hidden + self.attn2(self._norm_for_text(hidden), context)
        normed = modulated_norm(hidden, ffn_shift, ffn_scale, run_lengths=runs, eps=self.eps)
        add_gated_(hidden, self.ffn(normed), ffn_gate, run_lengths=runs)
        return hidden

    def _norm_for_text(self, hidden: Tensor) -> Tensor:
        if isinstance(self.norm2, nn.Identity):
            return hidden
        weight, bias = self.norm2.weight, self.norm2.bias
        normed = functional.layer_norm(hidden.float(), weight.shape, weight, bias, self.eps)
        return normed.to(hidden.dtype)
