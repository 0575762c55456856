"""LoRA adapters at work beside a network's layers, whose own weights stay as they are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from telecine.engine.adapters.lora_file import LoraLayer, LoraLayers
from telecine.engine.adapters.lora_names import names_by_alias
from telecine.engine.adapters.use import Stamp
from telecine.engine.linear import linear
from telecine.engine.offload.block_stream import StreamedLinear
from telecine.engine.offload.quantised import Fp8Linear, Int8Linear

_LINEARS = (nn.Linear, StreamedLinear, Int8Linear, Fp8Linear)
Networks = Mapping[str, nn.Module]
"""By part of the weights folder: see `Denoiser.networks`."""


class Addition(NamedTuple):
    """What one adapter adds to one layer, at full strength, on the network's device."""

    down: Tensor
    """[rank, in]"""
    up: Tensor
    """[out, rank]"""
    bias: Tensor | None
    """[out]"""

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return sum(each.nbytes for each in self if each is not None)


class Lora(NamedTuple):
    """An adapter made for given networks: additions by part and the layer's own name."""

    additions: Mapping[str, Mapping[str, Addition]]
    stamp: Stamp = ()
    """Of the files that it was read from."""

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        parts = self.additions.values()
        return sum(each.num_bytes for layers in parts for each in layers.values())


def fit_lora(layers: LoraLayers, networks: Networks, device: torch.device) -> Lora:
    """Find each layer of an adapter in the networks, and bring it to the device.

    Raises:
        ValueError: a layer is in none of them, or of another size; its file and it are named.
    """
    additions: dict[str, dict[str, Addition]] = {}
    for part, by_module in layers.items():
        if part not in networks:
            (example, layer), *_ = by_module.items()
            raise ValueError(f"{layer.path}: {part}.{example}: the model has no {part}")
        linears = _linears_of(networks[part])
        aliases = names_by_alias(linears)
        for module, layer in by_module.items():
            name = aliases.get(module)
            if name is None:
                raise ValueError(f"{layer.path}: {module}: the model has no such linear layer")
            addition = _addition(layer, linears[name], module=module, device=device)
            additions.setdefault(part, {})[name] = addition
    return Lora(additions)


@contextmanager
def applied(networks: Networks, loras: Sequence[tuple[Lora, float]]) -> Iterator[None]:
    """Add adapters to networks, each times its scale, for as long as the context lasts."""
    with ExitStack() as stack:
        for lora, scale in loras:
            for part, by_name in lora.additions.items():
                for name, addition in by_name.items():
                    layer = networks[part].get_submodule(name)
                    hook = layer.register_forward_hook(_Adds(addition, scale))
                    stack.callback(hook.remove)
        yield


class _Adds:
    """A hook on a layer."""

    def __init__(self, addition: Addition, scale: float) -> None:
        self._addition = addition
        self._scale = scale

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        down, up, bias = self._addition
        low_rank = linear(inputs[0].to(output.dtype), down.to(output.dtype))
        bias = None if bias is None else bias.to(output.dtype)
        added = linear(low_rank, up.to(output.dtype), bias)
        return torch.add(output, added, alpha=self._scale)


def _linears_of(network: nn.Module) -> dict[str, nn.Module]:
    return {name: each for name, each in network.named_modules() if isinstance(each, _LINEARS)}


def _addition(
    layer: LoraLayer, linear: nn.Module, *, module: str, device: torch.device
) -> Addition:
    for size, found, side in (
        (linear.in_features, layer.down.shape[1], "in"),
        (linear.out_features, layer.up.shape[0], "out"),
    ):
        if size != found:
            raise ValueError(f"{layer.path}: {module}: is for {found} values {side}, not {size}")
    bias = None if layer.bias is None else (layer.bias.float() * layer.factor).to(device)
    up = (layer.up.float() * layer.factor).to(layer.up.dtype)
    return Addition(layer.down.to(device), up.to(device), bias)
