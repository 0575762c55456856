"""How LTX-2's transformer is split, the picture's side and the sound's alike.

Layers go by heads; tokens of either side evenly, with an exchange of tokens for heads around each
attention that reads one of them (Ulysses, Jacobs et al. 2023); guidance by the answers of a step.
"""

from functools import partial
from typing import Any, cast

from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.nn import functional

from telecine.engine.ltx2.block import LTX2Block, Rows, Tokens
from telecine.engine.ltx2.denoiser import LTX2Denoiser
from telecine.engine.ltx2.layers import Attention, FeedForward
from telecine.engine.ltx2.rotary import RotaryTable, RotaryTables
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
    by_rows,
    check_divisible,
    split_norms,
)

_TOKENS = 1  # the axis of either side's tokens [B, N, D]
_AXES = HeadAxes(heads=1, tokens=2)  # of queries, keys and values [B, heads, N, head_dim]
_VIDEO, _AUDIO = 0, 1
_READS = {
    "attn1": (_VIDEO, _VIDEO),
    "audio_attn1": (_AUDIO, _AUDIO),
    "audio_to_video_attn": (_VIDEO, _AUDIO),
    "video_to_audio_attn": (_AUDIO, _VIDEO),
}
"""By a block's attention: whose tokens ask, and whose are read. Text is whole on every rank."""


def split_block(block: nn.Module, mesh: DeviceMesh) -> None:
    """Give this rank its heads and hidden units."""
    plan: Plan = {}
    for name, module in block.named_children():
        if isinstance(module, Attention):
            _keep_own_heads(module, mesh)
            plan |= _attention_plan(name, module)
        elif isinstance(module, FeedForward):
            output = module.net[2]
            assert isinstance(output, nn.Linear)
            check_divisible("hidden units", output.in_features, mesh.size(), axis="tensor")
            plan |= {f"{name}.net.0.proj": by_columns(), f"{name}.net.2": by_rows()}
    apply_plan(block, mesh, plan)


def _keep_own_heads(attention: Attention, mesh: DeviceMesh) -> None:
    attention.num_heads //= mesh.size()
    attention.first_head = mesh.get_local_rank() * attention.num_heads
    split_norms(attention, ("norm_q", "norm_k"), mesh)


def _attention_plan(name: str, attention: Attention) -> Plan:
    plan = {f"{name}.{layer}": by_columns() for layer in ("to_q", "to_k", "to_v")}
    if attention.to_gate_logits is not None:
        plan[f"{name}.to_gate_logits"] = by_columns()
    plan[f"{name}.to_out.0"] = by_rows()
    return plan


def split_sequence(denoiser: LTX2Denoiser, mesh: DeviceMesh) -> None:
    """Have every block see this rank's tokens of the picture and of the sound alone."""
    _TokenSplit(mesh.get_group()).attach(_blocks(denoiser))


class _TokenSplit:
    """Hooks on a transformer's blocks that cut both sides' tokens and put them together again."""

    def __init__(self, group: Group) -> None:
        self._group = group
        # Of the pass that runs.
        self._num_tokens = 0, 0
        self._rotary: RotaryTables

    def attach(self, blocks: list[LTX2Block]) -> None:
        blocks[0].register_forward_pre_hook(self._cut_tokens, with_kwargs=True)
        for block in blocks:
            block.register_forward_pre_hook(self._give_own_places, with_kwargs=True)
            for name, (asking, read) in _READS.items():
                attention = cast(Attention, block.get_submodule(name))
                attention.attend.register_forward_pre_hook(
                    partial(self._tokens_to_heads, asking, read)
                )
                attention.attend.register_forward_hook(partial(self._heads_to_tokens, attention))
        blocks[-1].register_forward_hook(self._gather)

    def _cut_tokens(
        self, _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        tokens, *others = inputs
        self._num_tokens = tokens.video.shape[_TOKENS], tokens.audio.shape[_TOKENS]
        self._rotary = RotaryTables(*(self._own_places(table) for table in named["rotary"]))
        own = Tokens(*(own_part(each, _TOKENS, self._group) for each in tokens))
        return (own, *others), named

    def _own_places(self, table: RotaryTable) -> RotaryTable:
        cos, sin = (own_part(each, _AXES.tokens, self._group) for each in (table.cos, table.sin))
        return table._replace(cos=cos, sin=sin)

    def _give_own_places(
        self, _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return inputs, named | {"rotary": self._rotary}

    def _tokens_to_heads(
        self, asking: int, read: int, _module: nn.Module, inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        # Tensors of one side have one shape, so they go together.
        sides = {asking: inputs} if asking == read else {asking: inputs[:1], read: inputs[1:]}
        return sum(
            (
                tokens_to_heads(
                    tensors, _AXES, num_tokens=self._num_tokens[side], group=self._group
                )
                for side, tensors in sides.items()
            ),
            (),
        )

    def _heads_to_tokens(
        self, attention: Attention, _module: nn.Module, _inputs: Any, attended: Tensor
    ) -> Tensor:
        num_heads = attention.num_heads
        return heads_to_tokens(attended, _AXES, num_heads=num_heads, group=self._group)

    def _gather(self, _module: nn.Module, _inputs: Any, tokens: Tokens) -> Tokens:
        lengths = zip(tokens, self._num_tokens, strict=True)
        return Tokens(
            *(gather_parts(each, _TOKENS, length, self._group) for each, length in lengths)
        )


def split_guidance(denoiser: LTX2Denoiser, group: Group) -> None:
    """Have this rank give every other answer of a step alone, of which there are up to four."""
    _RowSplit(group).attach(denoiser.networks["transformer"])


class _RowSplit:
    """Hooks on a transformer that share its answers among ranks; a single one all of them give.

    Dealt out in turn: so each of two ranks has an answer whose modalities see each other, which
    are the first ones.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._rank, self._size = distributed.get_rank(group), distributed.get_world_size(group)
        self._num_rows = 1  # of the pass that runs

    def attach(self, transformer: nn.Module) -> None:
        transformer.register_forward_pre_hook(self._choose_rows, with_kwargs=True)
        transformer.register_forward_hook(self._gather)

    def _choose_rows(
        self, _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        rows: Rows = named["rows"]
        self._num_rows = len(rows.prompts)
        if self._num_rows > 1:
            named = named | {"rows": self._own(rows)}
        return inputs, named

    def _own(self, rows: Rows) -> Rows:
        numbers = range(self._rank, len(rows.prompts), self._size)
        return Rows(
            prompts=tuple(rows.prompts[row] for row in numbers),
            num_joint=sum(row < rows.num_joint for row in numbers),
            skipped=next((own for own, row in enumerate(numbers) if row == rows.skipped), None),
        )

    def _gather(self, _module: nn.Module, _inputs: Any, answers: Tokens) -> Tokens:
        if self._num_rows == 1:
            return answers
        return Tokens(*(self._gather_dealt(each) for each in answers))

    def _gather_dealt(self, own: Tensor) -> Tensor:
        num_each = -(-self._num_rows // self._size)
        padded = functional.pad(own, (0, 0, 0, 0, 0, num_each - len(own)))
        by_rank = gather_parts(padded, 0, num_each * self._size, self._group)
        return (
            by_rank.unflatten(0, (self._size, -1)).transpose(0, 1).flatten(0, 1)[: self._num_rows]
        )


def _blocks(denoiser: LTX2Denoiser) -> list[LTX2Block]:
    blocks = denoiser.networks["transformer"].transformer_blocks
    return [cast(LTX2Block, block) for block in blocks]
