"""What is wrong with a weights folder is found before anything of it is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_mochi
import tiny_wan
import torch
from safetensors.torch import load_file, save_file

from telecine.engine.families import load_family
from telecine.engine.families.safetensors_header import read_header
from telecine.engine.families.weights_check import check_weights

VAE, DIT = "vae/diffusion_pytorch_model.safetensors", "transformer/diffusion_pytorch_model"
T5 = "text_encoder/model.safetensors"


@pytest.fixture
def weights(random_weights: Path, tmp_path: Path) -> Path:
    """A copy of a whole folder, to be spoilt."""
    return Path(shutil.copytree(random_weights, tmp_path / "weights"))


def problem_of(weights: Path) -> str:
    with pytest.raises(ValueError, match=r".+") as refused:
        check_weights(weights)
    return str(refused.value)


def change(path: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def test_a_whole_folder_passes_with_every_tensor_of_its_networks(weights: Path) -> None:
    checked = check_weights(weights)
    assert set(checked.tensors) == set(load_family(str(weights)).networks)
    assert checked.tensors["vae"].keys() == load_file(weights / VAE).keys()
    assert checked.notes == ()


def test_the_built_in_weights_pass() -> None:
    check_weights(Path(load_family("toybox")._folder))  # type: ignore[attr-defined]


def test_a_folder_without_an_index_names_the_file(tmp_path: Path) -> None:
    assert str(tmp_path / "model_index.json") in problem_of(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"_class_name": "OtherPipeline"}'])
def test_an_index_of_no_known_family_names_the_file(weights: Path, text: str) -> None:
    (weights / "model_index.json").write_text(text)
    assert "weights/model_index.json: no" in problem_of(weights)


@pytest.mark.parametrize("part", ["vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(weights: Path, part: str) -> None:
    shutil.rmtree(weights / part)
    assert str(weights / part) in problem_of(weights)


@pytest.mark.parametrize("name", [VAE, "vae/config.json", T5, "tokenizer/tokenizer.json"])
def test_a_missing_file_is_named_with_its_folder(weights: Path, name: str) -> None:
    (weights / name).unlink()
    assert str((weights / name).parent) in problem_of(weights)


def test_a_part_that_only_the_index_names_must_be_there(weights: Path) -> None:
    index = json.loads((weights / "model_index.json").read_text())
    index |= {"image_encoder": ["transformers", "CLIPVisionModel"], "other": [None, None]}
    (weights / "model_index.json").write_text(json.dumps(index))
    assert problem_of(weights) == f"{weights / 'image_encoder'}: missing"
    (weights / "image_encoder").mkdir()
    (weights / "image_encoder" / "model.safetensors").write_bytes(b"broken")
    assert "image_encoder/model.safetensors" in problem_of(weights)


@pytest.mark.parametrize("num_bytes", [0, 4, 100])
def test_a_file_cut_off_in_its_header_is_named(weights: Path, num_bytes: int) -> None:
    path = weights / VAE
    path.write_bytes(path.read_bytes()[:num_bytes])
    assert f"{path}: not a safetensors file, or cut off" in problem_of(weights)


def test_a_file_cut_off_in_its_numbers_is_named_with_the_tensor(weights: Path) -> None:
    path = weights / VAE
    path.write_bytes(path.read_bytes()[:-1])
    problem = problem_of(weights)
    assert f"{path}: cut off: tensor " in problem
    assert any(
        f"tensor {name} ends" in problem
        for name in load_family(str(weights)).networks["vae"]().state_dict()
    )


def test_bytes_after_the_last_tensor_are_refused(weights: Path) -> None:
    path = weights / VAE
    path.write_bytes(path.read_bytes() + b"\0\0")
    assert f"{path}: 2 bytes belong to no tensor" in problem_of(weights)


def test_a_header_that_contradicts_itself_is_named_with_the_tensor(weights: Path) -> None:
    path = weights / VAE
    raw = path.read_bytes()
    name = next(iter(read_header(path)))
    path.write_bytes(raw.replace(b'"dtype":"BF16"', b'"dtype":"F64" ', 1))
    problem = problem_of(weights)
    assert f"{path}: tensor {name}: its type, shape and place do not agree" in problem


def test_a_missing_tensor_is_named(weights: Path) -> None:
    change(weights / f"{DIT}.safetensors", lambda tensors: tensors.pop("blocks.1.mlp.0.weight"))
    assert (
        problem_of(weights) == f"{weights / 'transformer'}: tensor blocks.1.mlp.0.weight is missing"
    )


def test_a_tensor_of_another_shape_is_named_with_both(weights: Path) -> None:
    change(
        weights / f"{DIT}.safetensors",
        lambda tensors: tensors.update({"blocks.1.mlp.0.weight": torch.zeros(3, 5)}),
    )
    problem = problem_of(weights)
    assert f"{DIT}.safetensors: tensor blocks.1.mlp.0.weight is 3 x 5, config.json makes" in problem


def test_a_tensor_of_another_type_is_named(weights: Path) -> None:
    def to_integers(tensors: dict[str, torch.Tensor]) -> None:
        tensors["shared.weight"] = tensors["shared.weight"].to(torch.int8)

    change(weights / T5, to_integers)
    assert f"{weights / T5}: tensor shared.weight is I8, not one of F32" in problem_of(weights)


def test_a_config_that_describes_another_network_is_named(weights: Path) -> None:
    (weights / "transformer" / "config.json").write_text('{"num_wheels": 4}')
    assert "transformer/config.json: " in problem_of(weights)


@pytest.mark.parametrize("write", [tiny_wan.write_wan, tiny_mochi.write_tiny_mochi])
def test_a_transformer_without_a_config_is_named(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    write(tmp_path)
    config = tmp_path / "transformer" / "config.json"
    config.unlink()
    assert f"{config}: missing" in problem_of(tmp_path).splitlines()


def test_a_config_without_an_entry_is_named_with_it(tmp_path: Path) -> None:
    tiny_wan.write_wan(tmp_path)
    config = tmp_path / "transformer" / "config.json"
    config.write_text("{}")
    assert f"{config}: no entry 'in_channels'" in problem_of(tmp_path).splitlines()


@pytest.mark.timeout(30)  # a billion layers are not built first
def test_more_layers_than_tensors_are_told_at_once(tmp_path: Path) -> None:
    tiny_wan.write_wan(tmp_path / "wan")
    config = tmp_path / "wan" / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": 10**9}))
    problem = problem_of(tmp_path / "wan")
    assert problem.startswith(f"{config}: ")
    assert "num_layers: 1000000000, of 69 tensors" in problem


@pytest.mark.parametrize("content", ["not JSON", "", "{"])
def test_a_config_that_is_no_json_is_named_in_any_family(tmp_path: Path, content: str) -> None:
    tiny_wan.write_wan(tmp_path / "wan")
    config = tmp_path / "wan" / "transformer" / "config.json"
    config.write_text(content)
    assert problem_of(tmp_path / "wan").startswith(f"{config}: ")


def test_every_broken_part_gets_a_line(weights: Path) -> None:
    (weights / VAE).unlink()
    (weights / T5).write_bytes(b"")
    assert len(problem_of(weights).splitlines()) == 2


@pytest.mark.parametrize("kind", ["bin", "pt", "pth", "ckpt", "pkl"])
def test_a_pickle_instead_of_safetensors_is_refused(weights: Path, kind: str) -> None:
    (weights / VAE).rename(weights / "vae" / f"diffusion_pytorch_model.{kind}")
    assert f"vae/diffusion_pytorch_model.{kind}: a pickle" in problem_of(weights)


def test_a_pickle_beside_safetensors_is_noted_alone(weights: Path) -> None:
    (weights / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"")
    (note,) = check_weights(weights).notes
    assert "vae/diffusion_pytorch_model.bin: not read" in note


@pytest.fixture
def sharded(weights: Path) -> Path:
    """The same folder with the DiT in two files."""
    whole = weights / f"{DIT}.safetensors"
    tensors = load_file(whole)
    names = sorted(tensors)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"diffusion_pytorch_model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, whole.with_name(file))
        places |= dict.fromkeys(part, file)
    whole.unlink()
    index = {"metadata": {}, "weight_map": places}
    (weights / f"{DIT}.safetensors.index.json").write_text(json.dumps(index))
    return weights


def test_shards_pass_by_their_index(sharded: Path) -> None:
    assert len({each.file for each in check_weights(sharded).tensors["transformer"].values()}) == 2


def test_a_missing_shard_is_named(sharded: Path) -> None:
    shard = sharded / f"{DIT}-00002-of-00002.safetensors"
    shard.unlink()
    assert f"{shard}: missing, named by diffusion_pytorch_model" in problem_of(sharded)


def test_a_shard_without_a_tensor_of_the_index_is_named(sharded: Path) -> None:
    shard = sharded / f"{DIT}-00002-of-00002.safetensors"
    name = sorted(read_header(shard))[0]
    change(shard, lambda tensors: tensors.pop(name))
    assert f"{shard}: no tensor {name}" in problem_of(sharded)


def test_a_shard_outside_of_the_folder_is_refused(sharded: Path) -> None:
    path = sharded / f"{DIT}.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    assert "../../etc/passwd: missing, named by" in problem_of(sharded)


def test_names_of_older_transformers_are_found_by_their_place(weights: Path) -> None:
    path = weights / "text_encoder_2" / "model.safetensors"
    renamed = {f"text_model.old.{name}": tensor for name, tensor in load_file(path).items()}
    save_file(renamed, path)
    check_weights(weights)
    block = next(name for name in renamed if ".1.mlp.fc1.weight" in name)
    change(path, lambda tensors: tensors.pop(block))
    assert "mlp.fc1.weight is missing" in problem_of(weights)
