"""Puts models of a registry into the repository that the worker's own Triton server reads."""

import json
import shutil
from pathlib import Path

from pydantic import TypeAdapter

from telecine.errors import ModelError
from telecine.inference.model_configs import ModelDescription, write_configs
from telecine.storage.atomic_file import write_file

TRITON_FOLDER = "triton"
"""Of a published model: what Triton needs besides the weights."""
DESCRIPTION_NAME = "description.json"
_DESCRIPTION = TypeAdapter(ModelDescription)


def install_model(weights: Path, repository: Path, *, model_id: str) -> None:
    """Writes every role of a model, served from `weights`, over what was there of it.

    Raises:
        ModelError: the folder was published without what Triton needs.
    """
    source = weights.resolve() / TRITON_FOLDER
    try:
        described = json.loads((source / DESCRIPTION_NAME).read_text())
        named = described | {"model": model_id, "weights": str(weights.resolve())}
        description = _DESCRIPTION.validate_python(named)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{model_id} was published without its Triton models: {error}") from error
    for role, config in write_configs(description).items():
        folder = repository / f"{model_id}__{role}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "1").mkdir(parents=True)
        for path in (source / role).glob("*"):
            (folder / "1" / path.name).symlink_to(path)
        # Last: without it Triton sees no model.
        write_file(folder / "config.pbtxt", [config.encode()])


def remove_model(repository: Path, model_id: str) -> None:
    """Takes a model's roles out again."""
    for folder in repository.glob(f"{model_id}__*"):
        shutil.rmtree(folder, ignore_errors=True)
