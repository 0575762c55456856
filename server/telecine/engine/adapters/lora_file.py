"""LoRA adapters (Hu et al. 2021) as files: a low-rank addition to some layers of a network.

Read: what diffusers and PEFT write (`lora_A`, `lora_B`), the older `lora_down`, `lora_up` with
`alpha`, and both with the names that a model's authors gave its layers.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from telecine.engine.adapters.lora_names import TensorPlace, place_of, split_part

DEFAULT_PART = "transformer"
_PARTS = (DEFAULT_PART, "transformer_2")
_PEFT_CONFIG = "adapter_config.json"
_DIFFUSERS_METADATA = "lora_adapter_metadata"


@dataclass(frozen=True)
class LoraLayer:
    """An addition to one layer: `factor * (up @ (down @ x) + bias)`.

    Attributes:
        path: the file that it is of.
        down: [rank, in]
        up: [out, rank]
        bias: [out], if any.
    """

    path: Path
    down: Tensor
    up: Tensor
    bias: Tensor | None
    factor: float


LoraLayers = Mapping[str, Mapping[str, LoraLayer]]
"""By part of the weights folder, then by the layer's name as the file has it."""


def lora_files(adapter: Path) -> tuple[Path, ...]:
    """The safetensors files of an adapter, which is such a file or a folder of them.

    Raises:
        ValueError: there are none.
    """
    files = (adapter,) if adapter.is_file() else tuple(sorted(adapter.glob("*.safetensors")))
    if not files:
        raise ValueError(f"{adapter}: no safetensors file")
    return files


def read_lora(adapter: Path) -> LoraLayers:
    """Read an adapter, its tensors as they are in the file, on the CPU.

    A file that is called like a part of the weights folder, `transformer_2.safetensors`, is for
    that part, whatever its tensors say: adapters of two experts come as two files alike.

    Raises:
        ValueError: a file is broken or has a tensor that no LoRA has; it and the tensor are named.
    """
    layers: dict[str, dict[str, LoraLayer]] = {}
    for path in lora_files(adapter):
        for (part, module), tensors in _read_tensors(path).items():
            layer = tensors.layer(path, module)
            if layer is not None:
                layers.setdefault(part, {})[module] = layer
    return layers


class _Named(NamedTuple):
    name: str
    tensor: Tensor


@dataclass
class _ModuleTensors:
    """What a file has of one layer."""

    alphas: "_Alphas"
    found: dict[str, _Named] = field(default_factory=dict)

    def layer(self, path: Path, module: str) -> LoraLayer | None:
        """Put them together; None for a layer that is left as it is."""
        difference = self.found.get("difference")
        if difference is not None and bool(difference.tensor.any()):
            raise ValueError(f"{path}: {difference.name}: a difference of whole weights is no LoRA")
        if not {"down", "up"} <= self.found.keys():
            self._refuse_half(path)
            return None
        down, up = self.found["down"], self.found["up"]
        for each in (down, up):
            if each.tensor.ndim != 2:
                raise ValueError(f"{path}: {each.name}: only linear layers can be added to")
        rank = down.tensor.shape[0]
        if up.tensor.shape[1] != rank:
            raise ValueError(f"{path}: {up.name}: its rank is {up.tensor.shape[1]}, not {rank}")
        bias = self.found.get("bias")
        return LoraLayer(
            path=path,
            down=down.tensor,
            up=up.tensor,
            bias=None if bias is None else bias.tensor,
            factor=self._factor(module, rank),
        )

    def _factor(self, module: str, rank: int) -> float:
        alpha = self.found.get("alpha")
        if alpha is not None:
            return float(alpha.tensor.item()) / rank
        return self.alphas.factor(module, rank)

    def _refuse_half(self, path: Path) -> None:
        for kind, missing in (("down", "up"), ("up", "down"), ("alpha", "down")):
            if kind in self.found:
                raise ValueError(f"{path}: {self.found[kind].name}: has no {missing} beside it")
        bias = self.found.get("bias")
        if bias is not None and bool(bias.tensor.any()):
            raise ValueError(f"{path}: {bias.name}: a bias alone is no LoRA")


def _read_tensors(path: Path) -> dict[tuple[str, str], _ModuleTensors]:
    modules: dict[tuple[str, str], _ModuleTensors] = {}
    file_part = path.stem if path.stem in _PARTS else ""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118 - not a dict
                part, module, kind = _checked_place(path, name)
                alphas = _Alphas.of(path, metadata, part)
                part_meant = file_part or part or DEFAULT_PART
                held = modules.setdefault((part_meant, module), _ModuleTensors(alphas))
                held.found[kind] = _Named(name, file.get_tensor(name))
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file: {error}") from error
    return modules


def _checked_place(path: Path, name: str) -> TensorPlace:
    place = place_of(name)
    if place is None:
        raise ValueError(f"{path}: {name}: unknown: neither down, up, bias nor alpha of a LoRA")
    if place.module.startswith("text_encoder"):
        raise ValueError(f"{path}: {name}: text encoders take no adapters")
    return place


@dataclass(frozen=True)
class _Alphas:
    """What a file's own description says of its strength."""

    alpha: float | None = None
    patterns: Mapping[str, float] = field(default_factory=dict)
    is_rank_stabilised: bool = False

    @classmethod
    def of(cls, path: Path, metadata: Mapping[str, str], part: str) -> "_Alphas":
        """Read PEFT's file beside it, or what diffusers writes into it of each part."""
        beside = path.parent / _PEFT_CONFIG
        if beside.exists() and path.name == "adapter_model.safetensors":
            described: dict[str, Any] = json.loads(beside.read_text())
        elif _DIFFUSERS_METADATA in metadata:
            packed = json.loads(metadata[_DIFFUSERS_METADATA])
            names = {name: split_part(name) for name in packed}
            described = {
                names[name][0]: value for name, value in packed.items() if names[name][1] == part
            }
        else:
            return cls()
        return cls(
            alpha=described.get("lora_alpha"),
            patterns=described.get("alpha_pattern") or {},
            is_rank_stabilised=bool(described.get("use_rslora")),
        )

    def factor(self, module: str, rank: int) -> float:
        """What the addition is multiplied by: one, where nothing is said."""
        alpha = next(
            (value for name, value in self.patterns.items() if module.endswith(name)), self.alpha
        )
        if alpha is None:
            return 1.0
        return alpha / math.sqrt(rank) if self.is_rank_stabilised else alpha / rank
