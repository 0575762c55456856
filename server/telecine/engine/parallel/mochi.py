"""How Mochi's transformer is split: layers by heads, a video's tokens evenly (Ulysses).

Text is short beside a video, so every rank has all of it. For the attention the ranks exchange
the video's tokens for heads, and of the text each looks at its own heads.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.mochi.attention import TokenPair
from telecine.engine.mochi.block import BlockContext, GatedMLP, MochiBlock
from telecine.engine.mochi.denoiser import MochiDenoiser
from telecine.engine.mochi.model import MochiTransformer
from telecine.engine.parallel.sequence import (
    Group,
    HeadAxes,
    gather_parts,
    heads_to_tokens,
    own_part,
    tokens_to_heads,
)
from telecine.engine.parallel.tensor import (
    Plan,
    apply_plan,
    by_columns,
    by_columns_gathered,
    by_rows,
    check_divisible,
    interleave_parts,
)

_FROM_VIDEO = ("to_q", "to_k", "to_v")
_FROM_TEXT = ("add_q_proj", "add_k_proj", "add_v_proj")
_TOKENS = 1  # the axis of video [B, N, D]; of a rotary table [N, heads, head_dim/2] it is the first
# Of queries, keys and values [B, M, heads, head_dim], and of what they find, [B, M, D].
_AXES = HeadAxes(heads=2, tokens=1)


def split_block(block: MochiBlock, mesh: DeviceMesh) -> None:
    """Give this rank its heads and hidden units; the norms of queries and keys are a head's own."""
    for mlp in filter(None, (block.ff, block.ff_context)):
        _interleave_gate(mlp, mesh.size())
    apply_plan(block, mesh, _block_plan(is_last=block.ff_context is None))


def split_besides(denoiser: MochiDenoiser, mesh: DeviceMesh) -> None:
    """Each head turns at speeds of its own."""
    transformer = _transformer(denoiser)
    own = transformer.pos_frequencies.chunk(mesh.size(), 1)[mesh.get_local_rank()]
    transformer.pos_frequencies = nn.Parameter(own.clone(), requires_grad=False)


def _interleave_gate(mlp: GatedMLP, size: int) -> None:
    values_and_gate, output = mlp.net[0].get_submodule("proj"), mlp.net[2]
    assert isinstance(values_and_gate, nn.Linear)
    assert isinstance(output, nn.Linear)
    check_divisible("hidden units", output.in_features, size, axis="tensor")
    interleave_parts(values_and_gate, 2, size)


def _block_plan(*, is_last: bool) -> Plan:
    plan = {f"attn1.{name}": by_columns() for name in (*_FROM_VIDEO, *_FROM_TEXT)}
    plan |= {
        "norm1.linear": by_columns_gathered(),
        "attn1.to_out.0": by_rows(),
        "ff.net.0.proj": by_columns(),
        "ff.net.2": by_rows(),
    }
    if is_last:
        plan["norm1_context.linear_1"] = by_columns_gathered()
    else:
        plan |= {
            "norm1_context.linear": by_columns_gathered(),
            "attn1.to_add_out": by_rows(),
            "ff_context.net.0.proj": by_columns(),
            "ff_context.net.2": by_rows(),
        }
    return plan


def split_sequence(denoiser: MochiDenoiser, mesh: DeviceMesh) -> None:
    """Have every block see this rank's tokens of the video alone, and all of the text."""
    _TokenSplit(mesh.get_group()).attach(_blocks(_transformer(denoiser)))


class _TokenSplit:
    """Hooks on a transformer's blocks that cut the video's tokens and put them together again."""

    def __init__(self, group: Group) -> None:
        self._group = group
        # Of the pass that runs.
        self._num_tokens = self._num_own = self._width = 0
        self._context: BlockContext

    def attach(self, blocks: list[MochiBlock]) -> None:
        blocks[0].register_forward_pre_hook(self._cut_tokens)
        for block in blocks:
            block.register_forward_pre_hook(self._give_own_places)
            block.attn1.attend.register_forward_pre_hook(self._tokens_to_heads)
            block.attn1.attend.register_forward_hook(self._heads_to_tokens)
        blocks[-1].register_forward_hook(self._gather)

    def _cut_tokens(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens, context = inputs
        self._num_tokens = tokens.video.shape[_TOKENS]
        rotary_emb = own_part(context.rotary_emb, 0, self._group)
        self._context = context._replace(rotary_emb=rotary_emb)
        video = own_part(tokens.video, _TOKENS, self._group)
        self._num_own = video.shape[_TOKENS]
        return TokenPair(video, tokens.text), context

    def _give_own_places(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens, _ = inputs
        return tokens, self._context

    def _tokens_to_heads(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        *asked_and_seen, lengths = inputs
        self._width = asked_and_seen[0][0, 0].numel()
        videos = tuple(each[:, : self._num_own] for each in asked_and_seen)
        texts = [
            own_part(each[:, self._num_own :], _AXES.heads, self._group) for each in asked_and_seen
        ]
        videos = tokens_to_heads(videos, _AXES, num_tokens=self._num_tokens, group=self._group)
        return *(torch.cat(pair, 1) for pair in zip(videos, texts, strict=True)), lengths

    def _heads_to_tokens(self, _module: nn.Module, _inputs: Any, attended: Tensor) -> Tensor:
        video, text = attended.tensor_split((self._num_tokens,), _TOKENS)
        video = heads_to_tokens(video, _AXES, num_heads=self._width, group=self._group)
        if not text.numel():  # in the last block it asks nothing
            return video
        return torch.cat((video, gather_parts(text, _AXES.heads, self._width, self._group)), 1)

    def _gather(self, _module: nn.Module, _inputs: Any, tokens: TokenPair) -> TokenPair:
        video = gather_parts(tokens.video, _TOKENS, self._num_tokens, self._group)
        return TokenPair(video, tokens.text)


def _transformer(denoiser: MochiDenoiser) -> MochiTransformer:
    return cast(MochiTransformer, denoiser.networks["transformer"])


def _blocks(transformer: MochiTransformer) -> list[MochiBlock]:
    return [cast(MochiBlock, block) for block in transformer.transformer_blocks]
