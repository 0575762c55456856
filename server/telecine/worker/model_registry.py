"""The models that this worker can serve: weights folders, and versions in a registry."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from google.protobuf import json_format

from telecine.errors import NotFoundError, ObjectStoreUnavailableError
from telecine.storage.object_store import ObjectStore
from telecine.v1 import model_pb2, video_pb2
from telecine.worker.model_cache import ModelCache
from telecine.worker.model_manifest import (
    MANIFEST_NAME,
    Manifest,
    PublishedVersion,
    describe_folder,
    parse_manifest,
    require_same,
    version_prefix,
)

CARD_NAME = "model.json"
LORAS_FOLDER = "loras"
# As the engine reads them.
_LORA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_AUDIO_MODES = frozenset(video_pb2.AudioMode.values()) - {video_pb2.AUDIO_MODE_UNSPECIFIED}
BUILT_IN_FOLDER = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class RegisteredModel:
    """A model that this worker can serve.

    Attributes:
        card: what clients are told of it, its name and digest included.
        published: its version in the registry; None for a folder.
    """

    card: model_pb2.Model
    published: PublishedVersion | None = None

    @property
    def model_id(self) -> str:
        """The model's name in requests and in the Triton repository: `toybox`."""
        return self.card.name.removeprefix("models/")


@dataclass(frozen=True)
class RejectedModel:
    """What was to be served and cannot be, and why.

    Attributes:
        may_come: whether it was only not to be reached.
    """

    weights: str
    reason: str
    may_come: bool = False


@dataclass(frozen=True)
class ModelSet:
    """What came of reading several models: those that are good, and the others."""

    models: tuple[RegisteredModel, ...]
    rejected: tuple[RejectedModel, ...]


class ModelRegistry:
    """Reads weights folders, and versions that were published to an object store.

    A version lies under `{model}/{version}/`; its manifest is written last and names all its
    files, so a version is there whole or not at all.
    """

    def __init__(
        self, published: ObjectStore | None = None, cache: ModelCache | None = None
    ) -> None:
        """Prepares a registry.

        Args:
            published: where versions are published; None for folders alone.
            cache: what it holds is served also while `published` is away.
        """
        self._published = published
        self._cache = cache

    async def read(self, weights: str) -> RegisteredModel:
        """Returns a model: a built-in one's name, a path, or a published `model[@version]`.

        Without a version the newest counts.

        Raises:
            ValueError: it is not there or not whole; the message names the file.
            ObjectStoreUnavailableError: the registry is away and the cache has no such version.
        """
        model_id, _, version = weights.partition("@")
        is_local = "/" in weights or (not version and (BUILT_IN_FOLDER / weights).is_dir())
        if is_local or self._published is None:
            return await asyncio.to_thread(read_folder, find_weights(weights))
        try:
            return await self._read_published(self._published, model_id, version)
        except ObjectStoreUnavailableError:
            cached = self._cache.find(model_id, version) if self._cache else []
            if not cached:
                raise
            return await asyncio.to_thread(self._read_cached, newest_version(cached))

    async def read_all(self, weights: Sequence[str]) -> ModelSet:
        """Returns those that can be served, and why the others cannot."""
        results = await asyncio.gather(*map(self.read, weights), return_exceptions=True)
        models, rejected = [], []
        for name, result in zip(weights, results, strict=True):
            if isinstance(result, RegisteredModel):
                models.append(result)
            elif isinstance(result, (ValueError, OSError, ObjectStoreUnavailableError)):
                may_come = isinstance(result, ObjectStoreUnavailableError)
                rejected.append(RejectedModel(name, str(result), may_come=may_come))
            else:
                raise result
        return ModelSet(tuple(models), tuple(rejected))

    async def list_published(self, model_id: str = "") -> list[tuple[str, str]]:
        """Returns model and version of all that is published; raises what `list_keys` may."""
        if self._published is None:
            return []
        keys = [key.split("/") async for key in self._published.list_keys(model_id)]
        return [(key[0], key[1]) for key in keys if key[2:] == [MANIFEST_NAME]]

    async def _read_published(
        self, store: ObjectStore, model_id: str, version: str
    ) -> RegisteredModel:
        if not version:
            versions = [version for _, version in await self.list_published(model_id)]
            if not versions:
                raise ValueError(f"{model_id}: not in the registry")
            version = max(versions, key=version_order)
        prefix = version_prefix(model_id, version)
        try:
            manifest = parse_manifest(await _read_text(store, f"{prefix}/{MANIFEST_NAME}"))
            card = parse_card(await _read_text(store, f"{prefix}/{CARD_NAME}"))
        except NotFoundError as error:
            raise ValueError(f"{error}: not in the registry") from error
        except ValueError as error:
            raise ValueError(f"{prefix}: {error}") from error
        published = PublishedVersion(model_id, version, manifest)
        return RegisteredModel(named_card(card, model_id, manifest), published)

    def _read_cached(self, published: PublishedVersion) -> RegisteredModel:
        assert self._cache is not None
        card = parse_card((self._cache.folder_of(published) / CARD_NAME).read_text())
        return RegisteredModel(named_card(card, published.model_id, published.manifest), published)


def find_weights(weights: str) -> Path:
    """Returns the folder of `weights`: a built-in family's bare name, or a path."""
    built_in = BUILT_IN_FOLDER / weights
    return built_in if "/" not in weights and built_in.is_dir() else Path(weights)


def read_folder(folder: Path) -> RegisteredModel:
    """Reads the card of a weights folder and digests its files.

    Raises:
        ValueError: there is no card, it cannot be read, or the files are not what the folder's
            manifest says, where it has one; the message names the file.
    """
    path = folder / CARD_NAME
    try:
        card = parse_card(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    manifest = describe_folder(folder)
    if (published := folder / MANIFEST_NAME).exists():
        try:
            require_same(manifest, parse_manifest(published.read_text()))
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error
    # A folder is what people rename, so its name is the model's, as in the Triton repository.
    return RegisteredModel(named_card(card, folder.resolve().name, manifest))


def parse_card(text: str) -> model_pb2.Model:
    """Returns the card of a model.

    Raises:
        ValueError: it is not one, has no version, or names no modes of sound that there are.
    """
    try:
        card = json_format.Parse(text, model_pb2.Model())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error
    if not card.version:
        raise ValueError("version: missing")
    if not _AUDIO_MODES.issuperset(card.limits.audio_modes):
        raise ValueError("limits.audioModes: one of them is no mode")
    return card


def newest_version(versions: Sequence[PublishedVersion]) -> PublishedVersion:
    """Returns the newest of several versions."""
    return max(versions, key=lambda published: version_order(published.version))


def version_order(version: str) -> list[tuple[int, str]]:
    """Returns what versions are compared by: numbers in them count as numbers."""
    parts = re.findall(r"\d+|\D+", version)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


async def _read_text(store: ObjectStore, key: str) -> str:
    return b"".join([chunk async for chunk in store.read(key)]).decode()


def named_card(card: model_pb2.Model, model_id: str, manifest: Manifest) -> model_pb2.Model:
    """Returns a card, changed in place, with the name, digest and adapters of a model's files."""
    card.name = f"models/{model_id}"
    card.digest = manifest.digest
    card.ClearField("loras")
    card.loras.extend(_loras(manifest))
    return card


def _loras(manifest: Manifest) -> list[str]:
    """Names of the adapters in a weights folder: its files `loras/*`, and folders of such."""
    paths = [PurePosixPath(name) for name in manifest.files]
    adapters = [
        path.parts[1]
        for path in paths
        if path.parts[0] == LORAS_FOLDER and path.suffix == ".safetensors" and len(path.parts) <= 3
    ]
    names = {name.removesuffix(".safetensors") for name in adapters}
    return sorted(name for name in names if _LORA_NAME.fullmatch(name))
