"""From a folder of safetensors to a network on its device, its weights held as asked."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from telecine.engine.offload.block_stream import BlockStream, StreamedLinear
from telecine.engine.offload.options import FULL, LoadOptions
from telecine.engine.offload.quantised import Fp8Linear, Int8Linear, require_fp8
from telecine.engine.offload.weights_files import WeightsFiles

Network = TypeVar("Network", bound=nn.Module)


def default_dtype(device: torch.device) -> torch.dtype:
    """What open weights are computed in: bfloat16 on a GPU, float32 on a CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def load_network(
    build: Callable[[], Network],
    source: Path | WeightsFiles,
    *,
    device: torch.device,
    dtype: torch.dtype | None = None,
    options: LoadOptions = FULL,
    float32: Collection[str] = (),
) -> Network:
    """Build a network and fill it from a part of a weights folder; eval mode, no gradients.

    The network's blocks are what its direct children of type `nn.ModuleList` hold. Where
    `options` do not keep everything on the device as it is, the blocks' `nn.Linear` layers
    are replaced by layers of the same name that are called alike and have no `weight`.

    Args:
        build: makes the network; runs on the meta device, so what it computes is lost.
        source: a folder with diffusion_pytorch_model.safetensors or the index of its shards; or
            those files, where the network is a part of what they hold.
        device: where the network runs.
        dtype: what it computes in; by default, `default_dtype`.
        options: how the blocks' weights are held.
        float32: words; a tensor that has one as a part of its name stays in float32.

    Raises:
        FileNotFoundError: there are no weights.
        ValueError: a file is broken or of another network, or the device lacks FP8.
    """
    with torch.device("meta"):
        network = build()
    files = source if isinstance(source, WeightsFiles) else WeightsFiles(source)
    loader = _Loader(files, device, dtype or default_dtype(device), float32)
    loader.check_names(network)
    if options.weights_mode != "full":
        _replace_linears(network, _layer_maker(loader, options))
    for block_name, block in _blocks_of(network):
        _fill(block, f"{block_name}.", loader)
        if options.after_block is not None:
            options.after_block(block)
    _fill(network, "", loader)
    return network.eval()


def block_linears(network: nn.Module) -> dict[str, int]:
    """Full names of the linear layers of a network's blocks, each with its block's number."""
    return {
        f"{block_name}.{name}": number
        for number, (block_name, block) in enumerate(_blocks_of(network))
        for name, module in block.named_modules()
        if isinstance(module, nn.Linear)
    }


def _blocks_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (f"{list_name}.{index}", block)
        for list_name, blocks in network.named_children()
        if isinstance(blocks, nn.ModuleList)
        for index, block in enumerate(blocks)
    ]


class _Loader:
    """Reads tensors as the network will hold them."""

    def __init__(
        self,
        files: WeightsFiles,
        device: torch.device,
        dtype: torch.dtype,
        float32: Collection[str],
    ) -> None:
        self.files = files
        self.device = device
        self._dtype = dtype
        self._float32 = frozenset(float32)

    def dtype_of(self, name: str) -> torch.dtype:
        return self._dtype if self._float32.isdisjoint(name.split(".")) else torch.float32

    def mapped(self, name: str, shape: torch.Size) -> Tensor:
        tensor = self.files.tensor(name)
        if tensor.shape != shape:
            raise ValueError(
                f"{self.files.folder}: {name}: is {list(tensor.shape)}, not {list(shape)}"
            )
        return tensor

    def read(self, name: str, shape: torch.Size) -> Tensor:
        return self.mapped(name, shape).to(self.device, self.dtype_of(name), copy=True)

    def check_names(self, network: nn.Module) -> None:
        wanted, found = set(network.state_dict()), self.files.names
        for names, complaint in (
            (wanted - found, "missing"),
            (found - wanted, "unknown to this network"),
        ):
            if names:
                more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
                raise ValueError(f"{self.files.folder}: {min(names)}: {complaint}{more}")


LayerMaker = Callable[[int, str, nn.Linear], nn.Module]
"""Block number, full name and linear layer, on the meta device -> what stands for it."""


def _layer_maker(loader: _Loader, options: LoadOptions) -> LayerMaker:
    mode, device = options.weights_mode, loader.device
    if mode == "fp8":
        require_fp8(device)
    stream = BlockStream(device, is_pinned=mode == "offload")

    def make(block: int, name: str, linear: nn.Linear) -> nn.Module:
        weight = loader.mapped(f"{name}.weight", linear.weight.shape)
        bias = None
        if linear.bias is not None:
            bias = loader.read(f"{name}.bias", linear.bias.shape)
        if mode == "int8":
            return Int8Linear(weight.to(device), bias)
        if mode == "fp8":
            return Fp8Linear(weight.to(device), bias)
        stream.add(block, name, weight, dtype=loader.dtype_of(f"{name}.weight"))
        return StreamedLinear(stream, block, name=name, bias=bias)

    return make


def _replace_linears(network: nn.Module, make: LayerMaker) -> None:
    for name, block in block_linears(network).items():
        linear = network.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        _put(network, name, make(block, name, linear))


def _fill(module: nn.Module, prefix: str, loader: _Loader) -> None:
    """Read what has no values yet; `prefix` is what the module's names begin with in the files."""
    for name, parameter in list(module.named_parameters()):
        if parameter.is_meta:
            value = loader.read(prefix + name, parameter.shape)
            _put(module, name, nn.Parameter(value, requires_grad=False))


def _put(network: nn.Module, name: str, value: nn.Module | nn.Parameter) -> None:
    owner, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(owner), attribute, value)
