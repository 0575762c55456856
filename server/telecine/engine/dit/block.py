"""One block: spatial attention, temporal attention, cross attention, MLP."""

from dataclasses import dataclass

from torch import Tensor, nn

from telecine.engine.dit.adaln import Modulation, gated, modulate
from telecine.engine.dit.attention import (
    CrossAttention,
    KeyValue,
    SpatialAttention,
    TemporalAttention,
)
from telecine.engine.linear import Linear


@dataclass(frozen=True)
class BlockContext:
    """What every block of one forward pass shares."""

    temb: Tensor
    """[B, T, D]"""
    prompt_embeds: Tensor
    """[B, L, P]"""
    attention_mask: Tensor
    """[B, L], True for real tokens."""
    spatial_rotary_emb: Tensor
    temporal_rotary_emb: Tensor
    temporal_mask: Tensor | None


class DiTBlock(nn.Module):
    """The seed's block; its gates are closed at the start of training."""

    def __init__(self, width: int, num_heads: int, prompt_width: int, mlp_ratio: float) -> None:
        super().__init__()
        self.modulation = Modulation(width, 9)
        self.spatial_attention = SpatialAttention(width, num_heads)
        self.temporal_attention = TemporalAttention(width, num_heads)
        self.cross_norm = nn.RMSNorm(width, eps=1e-6)
        self.cross_attention = CrossAttention(width, prompt_width, num_heads)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(
            Linear(width, hidden), nn.GELU(approximate="tanh"), Linear(hidden, width)
        )
        nn.init.zeros_(self.cross_attention.output.weight)

    def forward(
        self, tokens: Tensor, context: BlockContext, past: KeyValue | None = None
    ) -> tuple[Tensor, KeyValue]:
        """[B, T, S, D] -> [B, T, S, D], and what later frames need of these."""
        spatial, temporal, mlp = triples(self.modulation(context.temb))
        attended = self.spatial_attention(
            modulate(tokens, *spatial[:2]), context.spatial_rotary_emb
        )
        tokens = tokens + gated(attended, spatial[2])
        attended, key_value = self.temporal_attention(
            modulate(tokens, *temporal[:2]),
            context.temporal_rotary_emb,
            allowed=context.temporal_mask,
            past=past,
        )
        tokens = tokens + gated(attended, temporal[2])
        attended = self.cross_attention(
            self.cross_norm(tokens).flatten(1, 2), context.prompt_embeds, context.attention_mask
        )
        tokens = tokens + attended.view_as(tokens)
        return tokens + gated(self.mlp(modulate(tokens, *mlp[:2])), mlp[2]), key_value


Triple = tuple[Tensor, Tensor, Tensor]


def triples(vectors: tuple[Tensor, ...]) -> tuple[Triple, Triple, Triple]:
    """Nine vectors as three times shift, scale, gate."""
    first, second, third, *rest = vectors
    fourth, fifth, sixth, seventh, eighth, ninth = rest
    return (first, second, third), (fourth, fifth, sixth), (seventh, eighth, ninth)
