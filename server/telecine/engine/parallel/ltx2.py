"""How LTX-2's transformer is split: layers by heads, of the picture and of the sound alike."""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.ltx2.denoiser import LTX2Denoiser
from telecine.engine.ltx2.layers import Attention, FeedForward
from telecine.engine.parallel.tensor import (
    Plan,
    apply_plan,
    by_columns,
    by_rows,
    check_divisible,
    split_norms,
)


def split_tensors(denoiser: LTX2Denoiser, mesh: DeviceMesh) -> None:
    """Give this rank its heads and hidden units of every block."""
    for block in denoiser.networks["transformer"].transformer_blocks:
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
