"""What a weights folder holds: its model's card and the digest of its files."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from telecine.v1 import model_pb2

CARD_NAME = "model.json"
BUILT_IN_FOLDER = Path(__file__).resolve().parent.parent / "weights"
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class RegisteredModel:
    """A model that this worker can serve, named after its weights folder."""

    card: model_pb2.Model
    folder: Path

    @property
    def model_id(self) -> str:
        """The model's name in requests and in the Triton repository: `toybox`."""
        return self.card.name.removeprefix("models/")


def find_weights(weights: str) -> Path:
    """Returns the folder of `weights`: a built-in family's bare name, or a path."""
    built_in = BUILT_IN_FOLDER / weights
    return built_in if "/" not in weights and built_in.is_dir() else Path(weights)


def read_model(weights: str) -> RegisteredModel:
    """Reads the card of a weights folder and digests its files.

    Raises:
        ValueError: there is no card, or it cannot be read; the message names the file.
    """
    folder = find_weights(weights)
    path = folder / CARD_NAME
    try:
        card = json_format.Parse(path.read_text(), model_pb2.Model())
    except (OSError, UnicodeDecodeError, json_format.ParseError) as error:
        raise ValueError(f"{path}: {error}") from error
    # A folder is what people rename, so its name is the model's, as in the Triton repository.
    card.name = f"models/{folder.resolve().name}"
    card.digest = digest_folder(folder)
    return RegisteredModel(card=card, folder=folder)


async def read_models(weights: tuple[str, ...]) -> list[RegisteredModel]:
    """Reads several folders; the digests are taken outside the event loop."""
    return await asyncio.gather(*(asyncio.to_thread(read_model, folder) for folder in weights))


def digest_folder(folder: Path) -> str:
    """Returns `sha256:` and the digest over the names and bytes of every file in `folder`.

    Hidden files do not count, so that an editor or a sync tool changes no model.
    """
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            total.update(f"{relative.as_posix()}\0{_digest_file(path)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
