"""Attention of video and text to both at once; text has a narrower width of its own."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.channel_norm import ChannelNorm
from telecine.engine.linear import Linear

_QK_EPS = 1e-5


class TokenPair(NamedTuple):
    """Video tokens [B, N, D] and text tokens [B, L, P], or anything by these."""

    video: Tensor
    text: Tensor


@dataclass(frozen=True)
class TextLengths:
    """Real tokens of each prompt in the batch; they stand before its padding."""

    counts: tuple[int, ...]

    @property
    def are_equal(self) -> bool:
        """Whether the batch has no padding."""
        return len(set(self.counts)) == 1

    @property
    def longest(self) -> int:
        """Tokens that each prompt has with its padding."""
        return max(self.counts)


class JointDotProduct(nn.Module):
    """What video and text find in both; a module so that ranks can exchange around it."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, lengths: TextLengths) -> Tensor:
        """[B, M, heads, head_dim] each, text behind the video -> [B, M, D].

        Padding is neither seen nor computed. A mask would do the same, but it keeps the GPU's
        fastest kernels from being used.
        """
        if lengths.are_equal:
            return _attend(query, key, value)
        num_video = key.shape[1] - lengths.longest
        attended = torch.zeros_like(query).flatten(2)
        for index, count in enumerate(lengths.counts):
            asked, seen = min(query.shape[1], num_video + count), num_video + count
            one = slice(index, index + 1)
            attended[one, :asked] = _attend(query[one, :asked], key[one, :seen], value[one, :seen])
        return attended


class JointAttention(nn.Module):
    """Module names are the weights' own.

    In the last block nobody reads the text any more: `has_text_output` is false, and its
    text asks no questions there.
    """

    def __init__(
        self, width: int, text_width: int, *, num_heads: int, head_dim: int, has_text_output: bool
    ) -> None:
        super().__init__()
        self.attend = JointDotProduct()
        inner = num_heads * head_dim
        self.head_dim = head_dim
        self.norm_q = ChannelNorm(head_dim, _QK_EPS)
        self.norm_k = ChannelNorm(head_dim, _QK_EPS)
        self.norm_added_q = ChannelNorm(head_dim, _QK_EPS)
        self.norm_added_k = ChannelNorm(head_dim, _QK_EPS)
        self.to_q = Linear(width, inner, bias=False)
        self.to_k = Linear(width, inner, bias=False)
        self.to_v = Linear(width, inner, bias=False)
        self.add_k_proj = Linear(text_width, inner, bias=False)
        self.add_v_proj = Linear(text_width, inner, bias=False)
        self.add_q_proj = Linear(text_width, inner, bias=False)
        self.to_out = nn.ModuleList([Linear(inner, width)])
        self.to_add_out = Linear(inner, text_width) if has_text_output else None

    def forward(
        self, tokens: TokenPair, rotary_emb: Tensor, lengths: TextLengths
    ) -> tuple[Tensor, Tensor | None]:
        """Video and text in -> the same out; no text from the last block."""
        video, text = tokens
        query = rotate_(self.norm_q(self._heads(self.to_q(video))), rotary_emb)
        key = rotate_(self.norm_k(self._heads(self.to_k(video))), rotary_emb)
        key = torch.cat((key, self.norm_added_k(self._heads(self.add_k_proj(text)))), 1)
        value = torch.cat((self.to_v(video), self.add_v_proj(text)), 1)
        if self.to_add_out is not None:
            query = torch.cat((query, self.norm_added_q(self._heads(self.add_q_proj(text)))), 1)
        num_video = video.shape[1]
        attended = self.attend(query, key, self._heads(value), lengths)
        attended_video, attended_text = attended.split((num_video, query.shape[1] - num_video), 1)
        if self.to_add_out is None:
            return self.to_out[0](attended_video), None
        return self.to_out[0](attended_video), self.to_add_out(attended_text)

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (-1, self.head_dim))


def rotate_(heads: Tensor, rotary_emb: Tensor) -> Tensor:
    """Turn neighbouring pairs of [B, N, heads, head_dim] by complex [N, heads, head_dim/2].

    In place where in float32.
    """
    pairs = torch.view_as_complex(heads.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs.mul_(rotary_emb)).flatten(-2).to(heads.dtype)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    attended = functional.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    )
    return attended.transpose(1, 2).flatten(2)
