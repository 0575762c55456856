"""The adapters of a weights folder, kept ready as long as they are used and there is room."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from telecine.engine.adapters.lora import Lora, Networks, fit_lora
from telecine.engine.adapters.lora_file import lora_files, read_lora
from telecine.engine.adapters.use import LoraUse

FOLDER = "loras"
_SUFFIX = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class LoraLimits:
    """How much is kept ready, and how large a single adapter may be, on the device."""

    max_count: int = 8
    max_bytes: int = 4 << 30


_DEFAULT_LIMITS = LoraLimits()


class LoraShelf:
    """Adapters by name: `loras/<name>.safetensors`, or the files of the folder `loras/<name>`.

    A file that has changed is read again. What was not used for longest goes first.
    """

    def __init__(
        self,
        weights: Path,
        networks: Networks,
        *,
        device: torch.device,
        limits: LoraLimits = _DEFAULT_LIMITS,
    ) -> None:
        self._folder = weights / FOLDER
        self._networks = networks
        self._device = device
        self._limits = limits
        self._kept: OrderedDict[str, Lora] = OrderedDict()

    @property
    def num_bytes(self) -> int:
        """Memory that the adapters on the shelf take."""
        return sum(kept.num_bytes for kept in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, uses: Sequence[LoraUse]) -> list[tuple[Lora, float]]:
        """Return adapters with their scales, for `telecine.engine.adapters.lora.applied`.

        Raises:
            ValueError: there is none of such a name, it does not fit the model, or it is larger
                than the shelf.
        """
        return [(self._get(use.name), use.scale) for use in uses]

    def _get(self, name: str) -> Lora:
        files = lora_files(self._path(name))
        stamp = tuple((str(path), *_changed(path)) for path in files)
        kept = self._kept.get(name)
        if kept is None or kept.stamp != stamp:
            self._check_size(name, sum(size for _, size, _ in stamp))
            self._kept.pop(name, None)
            fitted = fit_lora(read_lora(self._path(name)), self._networks, self._device)
            kept = self._kept[name] = fitted._replace(stamp=stamp)
        self._kept.move_to_end(name)
        self._make_room()
        return kept

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"loras: {name!r} is no name of an adapter")
        for path in (self._folder / f"{name}{_SUFFIX}", self._folder / name):
            if path.exists():
                return path
        raise ValueError(f"loras: there is no {name!r} in {self._folder}")

    def _check_size(self, name: str, num_bytes: int) -> None:
        if num_bytes > self._limits.max_bytes:
            raise ValueError(
                f"{self._path(name)}: {num_bytes} bytes; an adapter may have "
                f"{self._limits.max_bytes}"
            )

    def _make_room(self) -> None:
        while len(self._kept) > 1 and (
            len(self._kept) > self._limits.max_count or self.num_bytes > self._limits.max_bytes
        ):
            self._kept.popitem(last=False)


def _changed(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
