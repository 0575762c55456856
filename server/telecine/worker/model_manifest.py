"""What a version of a model consists of: its files, with the size and SHA-256 of each."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from telecine.storage.keys import checked_key

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class ManifestFile:
    """A file's size and SHA-256, in hex."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a model by their paths, which use `/`."""

    files: Mapping[str, ManifestFile]

    @property
    def digest(self) -> str:
        """`sha256:` and the digest over the names and bytes of every file."""
        total = hashlib.sha256()
        for name in sorted(self.files, key=lambda name: name.split("/")):
            total.update(f"{name}\0{self.files[name].sha256}\n".encode())
        return f"sha256:{total.hexdigest()}"

    @property
    def size_bytes(self) -> int:
        """What all files take together."""
        return sum(file.size_bytes for file in self.files.values())

    def to_json(self) -> str:
        """Writes it for people and for `parse_manifest`."""
        files = {name: asdict(file) for name, file in sorted(self.files.items())}
        return json.dumps({"files": files}, indent=2) + "\n"


@dataclass(frozen=True)
class PublishedVersion:
    """A version of a model in a registry."""

    model_id: str
    version: str
    manifest: Manifest

    @property
    def prefix(self) -> str:
        """What the keys of its files begin with."""
        return version_prefix(self.model_id, self.version)


def version_prefix(model_id: str, version: str) -> str:
    """Returns where a registry keeps a version of a model."""
    return checked_key(f"{model_id}/{version}")


def parse_manifest(text: str) -> Manifest:
    """Undoes `Manifest.to_json`.

    Raises:
        ValueError: it is not a manifest, or one of its paths leads out of the model's folder.
    """
    try:
        entries = json.loads(text)["files"]
        files = {checked_key(name): ManifestFile(**entry) for name, entry in entries.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error
    return Manifest(files)


def describe_folder(folder: Path) -> Manifest:
    """Reads every file of a folder but its manifest.

    Hidden files do not count, so that an editor or a sync tool changes no model.
    """
    files = {}
    for path in _visible_files(folder):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files[path.relative_to(folder).as_posix()] = ManifestFile(file.tell(), sha256)
    return Manifest(files)


def require_same(found: Manifest, published: Manifest) -> None:
    """Raises ValueError, which names the files, where a folder is not what was published."""
    names = found.files.keys() | published.files.keys()
    different = [
        name for name in sorted(names) if found.files.get(name) != published.files.get(name)
    ]
    if different:
        raise ValueError(f"{', '.join(different)}: not as {MANIFEST_NAME} says")


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not is_hidden and parts != (MANIFEST_NAME,):
            yield path
