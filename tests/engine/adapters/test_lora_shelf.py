"""Adapters are found by name, kept while there is room, and refused with the tensor's name."""

import json
import os
from pathlib import Path

import pytest
import torch
from tiny_lora import RANK, layer, write
from torch import Tensor

from telecine.engine.adapters.lora import applied
from telecine.engine.adapters.lora_shelf import LoraLimits, LoraShelf
from telecine.engine.adapters.use import LoraUse
from telecine.engine.dit.model import DiT

CPU = torch.device("cpu")
LAYER = "blocks.0.spatial_attention.output"
"""A linear layer of 32 by 32."""


def shelf_of(weights: Path, dit: DiT, *, max_count: int = 8, max_bytes: int = 1 << 20) -> LoraShelf:
    limits = LoraLimits(max_count, max_bytes)
    return LoraShelf(weights, {"transformer": dit}, device=CPU, limits=limits)


def effect(shelf: LoraShelf, dit: DiT, name: str, scale: float = 1.0) -> Tensor:
    """What an adapter adds to the layer's answer to ones."""
    linear = dit.get_submodule(LAYER)
    plain = linear(torch.ones(32))
    with applied({"transformer": dit}, shelf.take([LoraUse(name, scale)])):
        changed = linear(torch.ones(32))
    assert torch.equal(linear(torch.ones(32)), plain)
    return changed - plain


def expected(tensors: dict[str, Tensor]) -> Tensor:
    down, up = tensors[f"{LAYER}.lora_down.weight"], tensors[f"{LAYER}.lora_up.weight"]
    return up @ (down @ torch.ones(32))


def test_layers_are_found_by_dots_and_by_underscores(weights: Path, dit: DiT) -> None:
    tensors = layer(LAYER)
    underscored = {
        f"lora_unet_{name.replace(LAYER, LAYER.replace('.', '_'))}": value
        for name, value in tensors.items()
    }
    write(weights / "loras" / "dots.safetensors", tensors)
    write(weights / "loras" / "underscores.safetensors", underscored)
    shelf = shelf_of(weights, dit)
    for name in ("dots", "underscores"):
        torch.testing.assert_close(effect(shelf, dit, name), expected(tensors))


def test_alpha_and_bias_and_scale_count(weights: Path, dit: DiT) -> None:
    tensors = layer(LAYER)
    alpha = {f"{LAYER}.alpha": torch.tensor(3.0 * RANK), f"{LAYER}.diff_b": torch.ones(32)}
    write(weights / "loras" / "strong.safetensors", tensors | alpha)
    found = effect(shelf_of(weights, dit), dit, "strong", 0.5)
    torch.testing.assert_close(found, 1.5 * (expected(tensors) + 1.0))


def test_a_folder_of_peft_has_its_strength_in_its_config(weights: Path, dit: DiT) -> None:
    folder = weights / "loras" / "tuned"
    tensors = layer(LAYER)
    named = {
        f"base_model.model.{name}".replace("lora_down", "lora_A").replace(
            "lora_up", "lora_B"
        ): value
        for name, value in tensors.items()
    }
    write(folder / "adapter_model.safetensors", named)
    config = {"r": RANK, "lora_alpha": 4 * RANK, "use_rslora": False}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    found = effect(shelf_of(weights, dit), dit, "tuned")
    torch.testing.assert_close(found, 4.0 * expected(tensors))


def test_a_changed_file_is_read_again(weights: Path, dit: DiT) -> None:
    path = weights / "loras" / "it.safetensors"
    write(path, layer(LAYER))
    shelf = shelf_of(weights, dit)
    effect(shelf, dit, "it")
    other = layer(LAYER, seed=1)
    write(path, other)
    os.utime(path, ns=(1, 1))
    torch.testing.assert_close(effect(shelf, dit, "it"), expected(other))


def test_an_adapter_is_read_once(weights: Path, dit: DiT) -> None:
    write(weights / "loras" / "it.safetensors", layer(LAYER))
    shelf = shelf_of(weights, dit)
    first, again = (shelf.take([LoraUse("it", 1.0)])[0][0] for _ in range(2))
    assert first is again


@pytest.mark.parametrize(("max_count", "max_bytes"), [(2, 1 << 20), (8, 1100)])
def test_the_shelf_is_bounded_and_the_least_used_goes_first(
    weights: Path, dit: DiT, max_count: int, max_bytes: int
) -> None:
    for name in "abc":
        write(weights / "loras" / f"{name}.safetensors", layer(LAYER))
    shelf = shelf_of(weights, dit, max_count=max_count, max_bytes=max_bytes)
    for name in "abac":
        shelf.take([LoraUse(name, 1.0)])
    assert len(shelf) == 2 if max_count == 2 else 1
    assert shelf.num_bytes <= max_bytes
    kept = shelf.take([LoraUse("c", 1.0)])[0][0]
    assert shelf.take([LoraUse("c", 1.0)])[0][0] is kept


def test_an_adapter_larger_than_the_shelf_is_refused(weights: Path, dit: DiT) -> None:
    path = write(weights / "loras" / "huge.safetensors", layer(LAYER))
    with pytest.raises(ValueError, match=f"{path}: .* an adapter may have 100"):
        shelf_of(weights, dit, max_bytes=100).take([LoraUse("huge", 1.0)])


@pytest.mark.parametrize("name", ["nobody", "../it", "a/b", "", ".hidden"])
def test_names_of_no_adapter_are_refused(weights: Path, dit: DiT, name: str) -> None:
    write(weights / "it.safetensors", layer(LAYER))
    with pytest.raises(ValueError, match="loras: "):
        shelf_of(weights, dit).take([LoraUse(name, 1.0)])


BROKEN = {
    "blocks.9.mlp.0: the model has no such": layer("blocks.9.mlp.0"),
    f"{LAYER}: is for 16 values in": layer(LAYER, 16),
    "transformer_2.*: the model has no transformer_2": layer(f"transformer_2.{LAYER}"),
    "text_encoder.a.lora_down.weight: text": layer("text_encoder.a"),
    f"{LAYER}.dora_scale: unknown": layer(LAYER) | {f"{LAYER}.dora_scale": torch.ones(1)},
    f"{LAYER}.diff: a difference": layer(LAYER) | {f"{LAYER}.diff": torch.ones(32, 32)},
    f"{LAYER}.lora_up.weight: has no down": {f"{LAYER}.lora_up.weight": torch.ones(32, 2)},
    f"{LAYER}.lora_up.weight: its rank is 3, not 2": layer(LAYER)
    | {f"{LAYER}.lora_up.weight": torch.ones(32, 3)},
    f"{LAYER}.lora_down.weight: only linear": layer(LAYER)
    | {f"{LAYER}.lora_down.weight": torch.ones(2, 32, 1, 1)},
}


@pytest.mark.parametrize("complaint", BROKEN)
def test_a_file_that_does_not_fit_is_named_with_its_tensor(
    weights: Path, dit: DiT, complaint: str
) -> None:
    path = write(weights / "loras" / "it.safetensors", BROKEN[complaint])
    with pytest.raises(ValueError, match=f"{path}: .*{complaint}"):
        shelf_of(weights, dit).take([LoraUse("it", 1.0)])


def test_a_truncated_file_is_named(weights: Path, dit: DiT) -> None:
    path = write(weights / "loras" / "it.safetensors", layer(LAYER))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=f"{path}: not a whole"):
        shelf_of(weights, dit).take([LoraUse("it", 1.0)])


def test_an_empty_folder_is_named(weights: Path, dit: DiT) -> None:
    (weights / "loras" / "it").mkdir()
    with pytest.raises(ValueError, match="it: no safetensors file"):
        shelf_of(weights, dit).take([LoraUse("it", 1.0)])
