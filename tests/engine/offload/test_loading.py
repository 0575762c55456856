"""However a network's weights are held, it computes the same, or as near as eight bits allow."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from telecine.engine.dit.model import DiT
from telecine.engine.offload import LoadOptions, WeightsMode, load_network
from telecine.engine.offload.block_stream import StreamedLinear
from telecine.engine.offload.quantised import Int8Linear
from telecine.engine.offload.weights_files import INDEX, SINGLE

CPU = torch.device("cpu")
Load = Callable[[WeightsMode], DiT]


@pytest.fixture
def weights(dit: DiT, tmp_path: Path) -> Path:
    save_file(dit.state_dict(), tmp_path / SINGLE)
    return tmp_path


@pytest.fixture
def load(dit: DiT, weights: Path) -> Load:
    def _load(weights_mode: WeightsMode) -> DiT:
        return load_network(
            lambda: DiT(dit.config), weights, device=CPU, options=LoadOptions(weights_mode)
        )

    return _load


@torch.inference_mode()
def _velocity(dit: DiT, prompt: dict[str, Tensor]) -> Tensor:
    latents = torch.randn(1, 4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return dit(latents, torch.tensor([0.7]), **prompt)


@pytest.mark.parametrize("weights_mode", ["full", "offload", "disk"])
def test_velocity_is_the_same_to_the_last_bit(
    load: Load, dit: DiT, prompt: dict[str, Tensor], weights_mode: WeightsMode
) -> None:
    loaded = load(weights_mode)
    for _ in range(2):  # the second pass starts where the first one left the stream
        assert torch.equal(_velocity(loaded, prompt), _velocity(dit, prompt))


def test_int8_velocity_is_within_two_percent(
    load: Load, dit: DiT, prompt: dict[str, Tensor]
) -> None:
    exact = _velocity(dit, prompt)
    error = (_velocity(load("int8"), prompt) - exact).norm() / exact.norm()
    assert 0.0 < error < 0.02


def test_streamed_network_holds_two_blocks_at_most(load: Load, prompt: dict[str, Tensor]) -> None:
    loaded = load("disk")
    linears = [each for each in loaded.modules() if isinstance(each, StreamedLinear)]
    assert len(linears) == 2 * 10
    assert not any(
        "blocks" in name and value.ndim == 2 for name, value in loaded.named_parameters()
    )
    _velocity(loaded, prompt)
    stream = linears[0]._stream
    assert len(stream._weights) == 10


def test_int8_layers_hold_one_byte_a_weight(load: Load) -> None:
    layers = [each for each in load("int8").modules() if isinstance(each, Int8Linear)]
    assert {layer.weight_int8.dtype for layer in layers} == {torch.int8}


def test_shards_are_read_by_their_index(dit: DiT, tmp_path: Path, load: Load) -> None:
    tensors = dit.state_dict()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: tensors[name] for name in held}, tmp_path / file)
    weight_map = {name: file for file, held in shards.items() for name in held}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / SINGLE).unlink()
    loaded = load("full").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in tensors.items())


def test_fp8_is_refused_without_a_device_that_has_it(load: Load) -> None:
    with pytest.raises(ValueError, match="weights_mode: fp8: cpu"):
        load("fp8")


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="weights_mode: there is no 'int4'"):
        LoadOptions("int4")  # type: ignore[arg-type]


def test_missing_weights_name_the_file(dit: DiT, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=SINGLE):
        load_network(lambda: DiT(dit.config), tmp_path / "nowhere", device=CPU)


def test_truncated_file_is_named(load: Load, weights: Path) -> None:
    path = weights / SINGLE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=SINGLE):
        load("full")


def test_missing_and_unknown_tensors_are_named(dit: DiT, weights: Path, load: Load) -> None:
    tensors = dit.state_dict()
    removed = tensors.pop("blocks.1.mlp.0.weight")
    save_file(tensors, weights / SINGLE)
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp\.0\.weight: missing"):
        load("full")
    save_file({**dit.state_dict(), "stranger": removed.clone()}, weights / SINGLE)
    with pytest.raises(ValueError, match="stranger: unknown"):
        load("full")


def test_tensor_of_another_shape_is_named(dit: DiT, weights: Path, load: Load) -> None:
    save_file({**dit.state_dict(), "head.bias": torch.zeros(3)}, weights / SINGLE)
    with pytest.raises(ValueError, match=r"head\.bias: is \[3\]"):
        load("full")


def test_each_block_is_handed_over_before_the_next_one_is_read(dit: DiT, weights: Path) -> None:
    made: list[DiT] = []
    read: list[list[bool]] = []

    def build() -> DiT:
        made.append(DiT(dit.config))
        return made[0]

    def shrink(block: nn.Module) -> None:
        read.append([not any(each.is_meta for each in one.parameters()) for one in made[0].blocks])
        for layer in block.modules():
            if isinstance(layer, nn.Linear):
                layer.weight = nn.Parameter(layer.weight[:1].clone(), requires_grad=False)

    options = LoadOptions(after_block=shrink)
    loaded = load_network(build, weights, device=CPU, options=options)
    count = len(dit.blocks)
    assert read == [[index <= last for index in range(count)] for last in range(count)]
    for block in loaded.blocks:  # what was made of one stays
        for layer in block.modules():
            assert not isinstance(layer, nn.Linear) or len(layer.weight) == 1
    assert not any(parameter.is_meta for parameter in loaded.parameters())
