"""How Mochi's transformer is split: layers by heads, of the video and of the text alike."""

from typing import cast

from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.mochi.block import GatedMLP, MochiBlock
from telecine.engine.mochi.denoiser import MochiDenoiser
from telecine.engine.mochi.model import MochiTransformer
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


def split_tensors(denoiser: MochiDenoiser, mesh: DeviceMesh) -> None:
    """Give this rank its heads and hidden units of every block.

    The norms of queries and keys are a head's own; each head turns at speeds of its own, too.
    """
    transformer = cast(MochiTransformer, denoiser.networks["transformer"])
    own = transformer.pos_frequencies.chunk(mesh.size(), 1)[mesh.get_local_rank()]
    transformer.pos_frequencies = nn.Parameter(own.clone(), requires_grad=False)
    for module in transformer.transformer_blocks:
        block = cast(MochiBlock, module)
        for mlp in filter(None, (block.ff, block.ff_context)):
            _interleave_gate(mlp, mesh.size())
        apply_plan(block, mesh, _block_plan(is_last=block.ff_context is None))


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
