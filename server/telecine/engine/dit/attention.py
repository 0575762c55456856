"""The attentions of a block: within a frame, across frames, and to the prompt."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.dit.rotary import rotate
from telecine.engine.linear import Linear

AttentionKind = Literal["full", "causal", "window"]


@dataclass(frozen=True)
class TemporalMask:
    """Which frames a frame may look at.

    `full`: all. `causal`: itself and those before. `window`: those at most
    `window_frames` away, and the first `anchor_frames`, which hold the scene.
    """

    kind: AttentionKind = "full"
    window_frames: int = 8
    anchor_frames: int = 1

    def allowed(self, num_frames: int, device: torch.device, *, num_past: int = 0) -> Tensor | None:
        """[T, past + T] True where the row's frame may look at the column's; None: all may."""
        if self.kind == "full":
            return None
        frames = torch.arange(num_past + num_frames, device=device)
        return self.allows(frames[num_past:], frames)

    def allows(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Numbers of frames, [R] and [C] -> [R, C] True where the row may look at the column."""
        distance = rows[:, None] - columns[None, :]
        if self.kind == "full":
            return torch.ones_like(distance, dtype=torch.bool)
        if self.kind == "causal":
            return distance >= 0
        return (distance.abs() <= self.window_frames) | (columns < self.anchor_frames)[None, :]


FULL_ATTENTION = TemporalMask()


KeyValue = tuple[Tensor, Tensor]
"""Keys and values [N, heads, L, head_dim] of a sequence, the keys turned by their positions."""


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, with rotary positions and qk_norm."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.head_dim = width // num_heads
        self.query_key_value = Linear(width, 3 * width)
        self.query_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.key_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.output = Linear(width, width)

    def project(self, tokens: Tensor, rotary_emb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, L, D] with angles [L, head_dim/2] -> query, key, value [N, heads, L, head_dim]."""
        heads = self.query_key_value(tokens).unflatten(-1, (3, -1, self.head_dim))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        query = rotate(self.query_norm(query), rotary_emb)
        return query, rotate(self.key_norm(key), rotary_emb), value

    def mix(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        """What `project` gave, with a mask [L of queries, L of keys] -> [N, L, D]."""
        return self.output(attend(query, key, value, allowed))

    def attend(
        self,
        tokens: Tensor,
        rotary_emb: Tensor,
        *,
        allowed: Tensor | None = None,
        past: KeyValue | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """[N, L, D] with angles [L, head_dim/2] -> [N, L, D], and the keys and values used.

        With the keys and values of `past` before the sequence's own; `allowed` is a mask
        [L, past L + L].
        """
        query, key, value = self.project(tokens, rotary_emb)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        return self.mix(query, key, value, allowed), (key, value)


class SpatialAttention(SelfAttention):
    """Tokens of one frame look at each other."""

    def forward(self, tokens: Tensor, rotary_emb: Tensor) -> Tensor:
        """[B, T, S, D] -> [B, T, S, D]."""
        attended, _ = self.attend(tokens.flatten(0, 1), rotary_emb)
        return attended.unflatten(0, tokens.shape[:2])


class TemporalAttention(SelfAttention):
    """Tokens of one place look at each other across frames (TSAM)."""

    def forward(
        self, tokens: Tensor, rotary_emb: Tensor, *, allowed: Tensor | None, past: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        """[B, T, S, D] -> [B, T, S, D], and the keys and values by place."""
        by_place = tokens.transpose(1, 2)
        attended, key_value = self.attend(
            by_place.flatten(0, 1), rotary_emb, allowed=allowed, past=past
        )
        return attended.unflatten(0, by_place.shape[:2]).transpose(1, 2), key_value


class CrossAttention(nn.Module):
    """Video tokens look at the prompt's tokens."""

    def __init__(self, width: int, prompt_width: int, num_heads: int) -> None:
        super().__init__()
        self.head_dim = width // num_heads
        self.query = Linear(width, width)
        self.key_value = Linear(prompt_width, 2 * width)
        self.query_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.key_norm = nn.RMSNorm(self.head_dim, eps=1e-6)
        self.output = Linear(width, width)

    def forward(self, tokens: Tensor, prompt_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, N, D], [B, L, P] and [B, L] (True for real tokens) -> [B, N, D]."""
        return self.look(tokens, self.read(prompt_embeds), attention_mask)

    def read(self, prompt_embeds: Tensor) -> KeyValue:
        """[B, L, P] -> the prompt's keys and values, the same for all video tokens."""
        heads = self.key_value(prompt_embeds).unflatten(-1, (2, -1, self.head_dim))
        key, value = heads.permute(2, 0, 3, 1, 4)
        return self.key_norm(key), value

    def look(self, tokens: Tensor, prompt: KeyValue, attention_mask: Tensor) -> Tensor:
        """[B, N, D] and what `read` gave -> [B, N, D]."""
        query = self.query(tokens).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        mask = attention_mask[:, None, None, :]
        return self.output(attend(self.query_norm(query), *prompt, mask))


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
    """Attention of [N, heads, L, head_dim] each, with a mask [L, M] or None -> [N, L, D]."""
    key, value = key.to(query.dtype), value.to(query.dtype)
    if torch.is_grad_enabled() and query.device.type == "cpu":
        attended = _attend_by_matmul(query, key, value, allowed)
    else:
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    return attended.transpose(1, 2).flatten(2)


def _attend_by_matmul(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
    # For training on a CPU: there the fused kernel's backward is 2 to 6 times slower in bfloat16.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(-1).to(value.dtype) @ value
