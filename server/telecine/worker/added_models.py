"""Models that were added on this machine: weights that stay where they are, with a folder each.

`telecine models add` writes the folder and a running worker notices it. It holds the card that
clients are told, the sizes and digests of the weights, and how they are served.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from telecine.worker.model_manifest import (
    MANIFEST_NAME,
    Manifest,
    describe_folder,
    parse_manifest,
    require_same,
)
from telecine.worker.model_registry import (
    CARD_NAME,
    RegisteredModel,
    RejectedModel,
    named_card,
    parse_card,
)

RECORD_NAME = "added.json"
RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class AddedModel:
    """How an added model is served.

    Attributes:
        weights: the absolute path of its weights folder.
        target: what runs its text encoders: `cpu`, `cuda` or `tensorrt`.
        weights_mode: how the denoiser's weights are held.
        parallel: how it is laid out over ranks, for people; empty on one.
    """

    weights: str
    target: str
    weights_mode: str
    parallel: str = ""

    def to_json(self) -> str:
        """Writes it for people and for `read_record`."""
        return json.dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True)
class FoundModels:
    """What came of reading a folder of added models."""

    models: tuple[RegisteredModel, ...] = ()
    rejected: tuple[RejectedModel, ...] = ()


class AddedModels:
    """The added models in a folder, read again when one of them comes, goes or changes.

    Those that are rejected are also read again now and then: the disk of their weights may be
    mounted later.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._seen: dict[str, int] | None = None
        self._good: dict[str, RegisteredModel] = {}
        self._retry_time = math.inf

    def read_if_changed(self) -> FoundModels | None:
        """Returns all of them, or None where there is nothing to be read again."""
        times = self._times()
        if times == self._seen and self._clock() < self._retry_time:
            return None
        before = self._seen or {}
        kept = {name: model for name, model in self._good.items() if _is_same(name, before, times)}
        self._seen, self._good = times, {}
        rejected = []
        for model_id in sorted(times):
            try:
                self._good[model_id] = kept.get(model_id) or read_added(self._folder / model_id)
            except ValueError as error:
                rejected.append(RejectedModel(model_id, str(error)))
        self._retry_time = self._clock() + RETRY_SECONDS if rejected else math.inf
        return FoundModels(tuple(self._good.values()), tuple(rejected))

    def _times(self) -> dict[str, int]:
        times = {}
        for path in self._folder.glob(f"[!.]*/{RECORD_NAME}"):
            try:
                times[path.parent.name] = path.stat().st_mtime_ns
            except FileNotFoundError:  # just removed
                continue
        return times


def _is_same(model_id: str, before: dict[str, int], now: dict[str, int]) -> bool:
    return model_id in now and before.get(model_id) == now[model_id]


def read_record(folder: Path) -> AddedModel:
    """Reads how a model is served.

    Raises:
        ValueError: it cannot be read; the message names the file.
    """
    path = folder / RECORD_NAME
    try:
        return AddedModel(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_added(folder: Path) -> RegisteredModel:
    """Reads an added model; of its weights only that every file is there and has its size.

    Raises:
        ValueError: something cannot be read or has changed; the message names the file.
    """
    record = read_record(folder)
    manifest = _read_manifest(folder)
    weights = Path(record.weights)
    for name, file in manifest.files.items():
        path = weights / name
        if not path.is_file():
            raise ValueError(f"{path}: missing")
        if (found_bytes := path.stat().st_size) != file.size_bytes:
            raise ValueError(f"{path}: has {found_bytes} bytes, not {file.size_bytes}")
    path = folder / CARD_NAME
    try:
        card = parse_card(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return RegisteredModel(named_card(card, folder.name, manifest))


def require_unchanged(folder: Path) -> None:
    """Reads the weights of an added model whole.

    Raises:
        ValueError: a file is not what it was when the model was added; the message names it.
    """
    weights = Path(read_record(folder).weights)
    try:
        require_same(describe_folder(weights), _read_manifest(folder))
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from error


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_NAME
    try:
        return parse_manifest(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
