"""Checks a weights folder before anything of it is loaded: files, types and shapes."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from telecine.engine.families import load_family
from telecine.engine.families.protocol import Family
from telecine.engine.families.safetensors_header import TensorHeader, read_header

Tensors = dict[str, TensorHeader]

_INDEX = "model_index.json"
_STEMS = ("diffusion_pytorch_model", "model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_FLOATS = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class CheckedWeights:
    """A weights folder in which nothing is missing or wrong.

    Attributes:
        tensors: those of each network's folder, by name.
        notes: what is odd about it, for a person.
    """

    folder: Path
    family: Family
    tensors: Mapping[str, Mapping[str, TensorHeader]]
    notes: tuple[str, ...]


def check_weights(folder: Path) -> CheckedWeights:
    """Check every part that a folder's model_index.json names or its family reads.

    Raises:
        ValueError: something is missing, cut off, of a wrong type or shape, or a pickle; the
            message has a line for each part, which names the file and the tensor.
    """
    folder = folder.resolve()
    try:
        family = load_family(str(folder))
    except OSError as error:
        raise ValueError(f"{folder / _INDEX}: {error.strerror}") from error
    _check_configs(folder)
    networks = family.networks
    tensors: dict[str, Tensors] = {}
    problems = []
    for part in sorted({*_named_parts(folder), *networks}):
        try:
            if part in networks:
                tensors[part] = _check_network(folder / part, networks[part])
            else:
                _check_files(folder / part)
        except ValueError as error:
            problems.append(str(error))
    problems += _check_reading(folder, family)
    if problems:
        raise ValueError("\n".join(problems))
    notes = [
        f"{pickle}: not read" for part in tensors for pickle in _find_pickles(folder / part)[:1]
    ]
    return CheckedWeights(folder, family, tensors, tuple(notes))


def _named_parts(folder: Path) -> Iterator[str]:
    """The folders that the index names: `"vae": ["diffusers", "AutoencoderKLWan"]`."""
    for name, value in json.loads((folder / _INDEX).read_text()).items():
        if isinstance(value, list) and len(value) == 2 and value[1] is not None:
            yield name


def _check_configs(folder: Path) -> None:
    """Families read them at once, and would not say which one it is that is broken."""
    for path in sorted(folder.glob("*/config.json")):
        try:
            json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: {_words(error)}") from error


def _check_files(folder: Path) -> None:
    """A part of which the family builds no network: whole files, and no pickles alone."""
    _require_folder(folder)
    files = sorted(folder.glob("*.safetensors"))
    pickles = _find_pickles(folder)
    if pickles and not files:
        raise ValueError(_refusal(pickles[0]))
    for path in files:
        read_header(path)


def _check_network(folder: Path, build: Callable[[], nn.Module]) -> Tensors:
    _require_folder(folder)
    tensors = _read_tensors(folder)
    config = folder / "config.json"
    if not config.is_file():
        raise ValueError(f"{config}: missing")
    try:
        _require_no_more_layers(json.loads(config.read_text()), len(tensors))
        with torch.device("meta"):
            network = build()
    except Exception as error:  # a library's own, of a config that is not its
        raise ValueError(f"{config}: {_words(error)}") from error
    _compare(folder, network, tensors)
    return tensors


def _require_no_more_layers(described: Mapping[str, object], num_tensors: int) -> None:
    """Each layer has tensors; a network of a million of them would be built for hours."""
    for name, value in described.items():
        if name.endswith("layers") and isinstance(value, int) and value > num_tensors:
            raise ValueError(f"{name}: {value}, of {num_tensors} tensors in all")


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"{folder}: missing")
    if not any(folder.iterdir()):
        raise ValueError(f"{folder}: empty")


def _read_tensors(folder: Path) -> Tensors:
    """The headers of a network's one file, or of the shards that its index names."""
    for stem in _STEMS:
        if (path := folder / f"{stem}.safetensors").is_file():
            return read_header(path)
        if (path := folder / f"{stem}.safetensors.index.json").is_file():
            return _read_shards(path)
    if pickles := _find_pickles(folder):
        raise ValueError(_refusal(pickles[0]))
    raise ValueError(f"{folder}: no {_STEMS[0]}.safetensors or {_STEMS[1]}.safetensors")


def _read_shards(index: Path) -> Tensors:
    try:
        places: dict[str, str] = dict(json.loads(index.read_text())["weight_map"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{index}: {_words(error)}") from error
    shards = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name or not (index.parent / name).is_file():
            raise ValueError(f"{index.parent / name}: missing, named by {index.name}")
        shards[name] = read_header(index.parent / name)
    for tensor, name in places.items():
        if tensor not in shards[name]:
            raise ValueError(f"{index.parent / name}: no tensor {tensor}, though {index.name} says")
    return {tensor: shards[name][tensor] for tensor, name in places.items()}


def _compare(folder: Path, network: nn.Module, tensors: Tensors) -> None:
    """Find each tensor of a network in its files, of the network's shape and of a kind to match."""
    is_renaming = type(network).__module__.startswith("transformers.")
    tied = _tied_names(network)
    for name, wanted in network.state_dict(keep_vars=True).items():
        found = _find(name, wanted, tensors, is_renaming=is_renaming)
        if found is None and any(other in tensors for other in tied.get(name, ())):
            continue
        if found is None:
            raise ValueError(f"{folder}: tensor {name} is missing")
        if found.shape != tuple(wanted.shape):
            raise ValueError(
                f"{found.file}: tensor {name} is {_size(found.shape)}, config.json makes it "
                f"{_size(tuple(wanted.shape))}"
            )
        if wanted.is_floating_point() and found.dtype not in _FLOATS:
            raise ValueError(
                f"{found.file}: tensor {name} is {found.dtype}, not one of {', '.join(_FLOATS)}"
            )


def _find(name: str, wanted: Tensor, tensors: Tensors, *, is_renaming: bool) -> TensorHeader | None:
    """Look a tensor up.

    transformers reads files of its older versions, which have other names for the same places:
    there the numbers in a name, such as a block's, and its last two words must agree.
    """
    if name in tensors or not is_renaming:
        return tensors.get(name)
    place = _place(name)
    alike = [tensor for other, tensor in tensors.items() if _place(other) == place]
    fitting = [tensor for tensor in alike if tensor.shape == tuple(wanted.shape)]
    return next(iter([*fitting, *alike]), None)


def _place(name: str) -> tuple[str, ...]:
    return (*re.findall(r"(?<=\.)\d+(?=\.)", name), *name.split(".")[-2:])


def _tied_names(network: nn.Module) -> dict[str, list[str]]:
    """Names that share one tensor, of which a file may have any one."""
    names: dict[int, list[str]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), []).append(name)
    tied = {name: group for group in names.values() for name in group if len(group) > 1}
    # On the meta device transformers does not tie yet: it says what it will.
    said = getattr(network, "_tied_weights_keys", None)
    for name, other in said.items() if isinstance(said, dict) else ():
        tied.setdefault(name, []).append(other)
        tied.setdefault(other, []).append(name)
    return tied


def _check_reading(folder: Path, family: Family) -> Iterator[str]:
    """What is small enough to be read at once: tokenizer, schedule and card."""
    readers: dict[str, Callable[[], object]] = {
        "tokenizer": lambda: family.load_tokenizer().encode("a red circle"),
        "scheduler": lambda: family.sigmas(family.card.samplers[0], 1, (1, 1, 1, 1, 1)),
    }
    for part, read in readers.items():
        try:
            read()
        except Exception as error:  # libraries' own, of files that are not theirs
            yield f"{folder / part}: {_words(error)}"


def _find_pickles(folder: Path) -> list[Path]:
    return [path for kind in _PICKLES for path in sorted(folder.glob(kind))]


def _refusal(path: Path) -> str:
    return f"{path}: a pickle, which can run code when it is read; save it as safetensors"


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no entry {error}"
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"
