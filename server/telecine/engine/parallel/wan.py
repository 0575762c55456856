"""How Wan's transformer is split: layers by heads, a video's tokens evenly (Ulysses).

Every layer but the attention within the video is a token's own affair. For that attention the
ranks exchange tokens for heads (Jacobs et al. 2023), so that each has all tokens of its heads.
"""

from typing import Any, cast

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.parallel.sequence import (
    Group,
    HeadAxes,
    gather_parts,
    heads_to_tokens,
    own_part,
    own_runs,
    tokens_to_heads,
)
from telecine.engine.parallel.tensor import (
    Plan,
    apply_plan,
    by_columns,
    by_rows,
    check_divisible,
    split_norms,
)
from telecine.engine.wan.block import Block
from telecine.engine.wan.denoiser import WanDenoiser
from telecine.engine.wan.modulation import Modulation

_NORMS = ("norm_q", "norm_k", "norm_added_k")
_TOKENS = 1  # the axis of hidden [B, N, D]; of a rotary table [N, 1, head_dim/2] it is the first
_AXES = HeadAxes(heads=1, tokens=2)  # of queries, keys and values [B, heads, N, head_dim]


def split_block(block: Block, mesh: DeviceMesh) -> None:
    """Give this rank its heads and hidden units."""
    inner = block.ffn.net[2]
    assert isinstance(inner, nn.Linear)
    check_divisible("hidden units", inner.in_features, mesh.size(), axis="tensor")
    for attention in (block.attn1, block.attn2):
        split_norms(attention, _NORMS, mesh)
    apply_plan(block, mesh, _block_plan(has_image=hasattr(block.attn2, "add_k_proj")))


def _block_plan(*, has_image: bool) -> Plan:
    plan = {"ffn.net.0.proj": by_columns(), "ffn.net.2": by_rows()}
    for attention in ("attn1", "attn2"):
        plan |= {f"{attention}.{name}": by_columns() for name in ("to_q", "to_k", "to_v")}
        plan[f"{attention}.to_out.0"] = by_rows()
    if has_image:
        plan |= {f"attn2.{name}": by_columns() for name in ("add_k_proj", "add_v_proj")}
    return plan


def split_sequence(denoiser: WanDenoiser, mesh: DeviceMesh) -> None:
    """Have every block of every expert see this rank's tokens alone."""
    for network in denoiser.networks.values():
        _TokenSplit(mesh.get_group()).attach(_blocks(network))


class _TokenSplit:
    """Hooks on a transformer's blocks that cut its tokens and put them together again."""

    def __init__(self, group: Group) -> None:
        self._group = group
        # Of the pass that runs.
        self._num_tokens = self._num_heads = 0
        self._modulation: Modulation
        self._rotary_emb: Tensor

    def attach(self, blocks: list[Block]) -> None:
        blocks[0].register_forward_pre_hook(self._cut_tokens)
        for block in blocks:
            block.register_forward_pre_hook(self._give_own_parts)
            block.attn1.attend.register_forward_pre_hook(self._tokens_to_heads)
            block.attn1.attend.register_forward_hook(self._heads_to_tokens)
        blocks[-1].register_forward_hook(self._gather)

    def _cut_tokens(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, modulation, rotary_emb, context = inputs
        self._num_tokens = hidden.shape[_TOKENS]
        runs = own_runs(modulation.run_lengths, self._group)
        self._modulation = modulation._replace(run_lengths=runs)
        self._rotary_emb = own_part(rotary_emb, 0, self._group)
        return own_part(hidden, _TOKENS, self._group), modulation, rotary_emb, context

    def _give_own_parts(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, _, _, context = inputs
        return hidden, self._modulation, self._rotary_emb, context

    def _tokens_to_heads(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
        self._num_heads = inputs[0].shape[_AXES.heads]
        return tokens_to_heads(inputs, _AXES, num_tokens=self._num_tokens, group=self._group)

    def _heads_to_tokens(self, _module: nn.Module, _inputs: Any, attended: Tensor) -> Tensor:
        return heads_to_tokens(attended, _AXES, num_heads=self._num_heads, group=self._group)

    def _gather(self, _module: nn.Module, _inputs: Any, hidden: Tensor) -> Tensor:
        return gather_parts(hidden, _TOKENS, self._num_tokens, self._group)


def _blocks(network: nn.Module) -> list[Block]:
    return [cast(Block, block) for block in cast(nn.ModuleList, network.blocks)]
