"""How the seed's DiT is split: layers by heads, a video's tokens by frames and by places.

Attention within a frame needs whole frames, attention across frames whole places. So a rank
holds some of the frames, and for attention in time alone the ranks exchange them for some of
the places, all heads of which they keep: two exchanges a block, where an exchange for heads
(Ulysses, Jacobs et al. 2023) would send queries, keys and values one by one.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.dit.denoiser import DiTDenoiser
from telecine.engine.dit.model import DiT
from telecine.engine.parallel.sequence import Group, gather_parts, own_part, recut
from telecine.engine.parallel.tensor import (
    Plan,
    apply_plan,
    by_columns,
    by_columns_gathered,
    by_rows,
    interleave_parts,
)

_FRAMES, _PLACES = 1, 2  # axes of tokens [B, T, S, D]


def split_block(block: nn.Module, mesh: DeviceMesh) -> None:
    """Give this rank its heads and hidden units.

    The norms of queries and keys are a head's own, so they stay as they are.
    """
    for name, module in block.named_modules():
        if name.endswith("query_key_value"):
            interleave_parts(_linear(module), 3, mesh.size())
        elif name.endswith("key_value"):
            interleave_parts(_linear(module), 2, mesh.size())
    apply_plan(block, mesh, _block_plan())


def _block_plan() -> Plan:
    return {
        "modulation.linear": by_columns_gathered(),
        "spatial_attention.query_key_value": by_columns(),
        "spatial_attention.output": by_rows(),
        "temporal_attention.query_key_value": by_columns(),
        "temporal_attention.output": by_rows(),
        "cross_attention.query": by_columns(),
        "cross_attention.key_value": by_columns(),
        "cross_attention.output": by_rows(),
        "mlp.0": by_columns(),
        "mlp.2": by_rows(),
    }


def _linear(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module


def split_sequence(denoiser: DiTDenoiser, mesh: DeviceMesh) -> None:
    """Have every block see this rank's frames alone, and its attention in time its places."""
    denoiser.dit.runs_in_spans = False  # a span's neighbours would lie on another rank
    denoiser.dit.audio = None  # and so would the frames that a sound belongs to
    _FrameSplit(mesh.get_group()).attach(denoiser.dit)


class _FrameSplit:
    """Hooks on a DiT that cut its tokens and put them together again."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._num_frames = self._num_places = 0  # of the pass that runs

    def attach(self, dit: DiT) -> None:
        dit.time_embed.register_forward_hook(self._cut_frames)
        dit.blocks[0].register_forward_pre_hook(self._cut_tokens)
        for block in dit.blocks:
            attention = block.get_submodule("temporal_attention")
            attention.register_forward_pre_hook(self._frames_to_places)
            attention.register_forward_hook(self._places_to_frames)
        dit.head.register_forward_hook(self._gather)

    def _cut_frames(self, _module: nn.Module, _inputs: Any, temb: Tensor) -> Tensor:
        return own_part(temb, _FRAMES, self._group)

    def _cut_tokens(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens, *others = inputs
        _, self._num_frames, self._num_places, _ = tokens.shape
        return own_part(tokens, _FRAMES, self._group), *others

    def _frames_to_places(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens, *others = inputs
        exchange = partial(recut, from_axis=_FRAMES, to_axis=_PLACES, length=self._num_frames)
        return exchange(tokens, group=self._group), *others

    def _places_to_frames(
        self, _module: nn.Module, _inputs: Any, outputs: tuple[Tensor, Any]
    ) -> tuple[Tensor, Any]:
        attended, key_value = outputs
        exchange = partial(recut, from_axis=_PLACES, to_axis=_FRAMES, length=self._num_places)
        return exchange(attended, group=self._group), key_value

    def _gather(self, _module: nn.Module, _inputs: Any, tokens: Tensor) -> Tensor:
        return gather_parts(tokens, _FRAMES, self._num_frames, self._group)
