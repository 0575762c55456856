"""The tensors of one part of a weights folder, mapped from its safetensors file or shards."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

SINGLE = "diffusion_pytorch_model.safetensors"
INDEX = f"{SINGLE}.index.json"


class WeightsFiles:
    """Tensors by name. Nothing is read before it is asked for.

    Args:
        folder: holds the file, or the index of its shards.
        part: what the names of the tensors wanted begin with; they are known without it.

    Raises:
        FileNotFoundError: the folder has neither the file nor an index of shards.
        ValueError: a file is no whole safetensors file.
    """

    def __init__(self, folder: Path, part: str = "") -> None:
        self.folder = folder
        self._part = part
        self._paths = {
            name.removeprefix(part): path
            for name, path in _paths_by_tensor(folder).items()
            if name.startswith(part)
        }
        self._opened: dict[Path, Any] = {}

    @property
    def names(self) -> frozenset[str]:
        """All tensors there are."""
        return frozenset(self._paths)

    def tensor(self, name: str) -> Tensor:
        """A tensor, mapped from its file: its pages are read when used and can be dropped.

        Raises:
            ValueError: its file is broken.
        """
        path = self._paths[name]
        if path not in self._opened:
            self._opened[path] = _open(path)
        try:
            tensor: Tensor = self._opened[path].get_tensor(self._part + name)
        except SafetensorError as error:
            raise ValueError(f"{path}: {name}: {error}") from error
        return tensor


def _paths_by_tensor(folder: Path) -> dict[str, Path]:
    single, index = folder / SINGLE, folder / INDEX
    if single.exists():
        return dict.fromkeys(_open(single).keys(), single)
    if not index.exists():
        raise FileNotFoundError(f"{single}: missing, and no {INDEX} beside it")
    shards: dict[str, str] = json.loads(index.read_text())["weight_map"]
    return {name: folder / shard for name, shard in shards.items()}


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file: {error}") from error
