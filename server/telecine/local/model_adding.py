"""Adds models to a data folder, and takes them out again; what runs goes on running."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from telecine.inference.encoder_manifest import (
    MANIFEST_NAME,
    find_platforms,
    find_problem,
    read_manifest,
    require_checksums,
)
from telecine.local.data_folder import DataFolder
from telecine.local.model_sources import link_sources
from telecine.v1 import model_pb2
from telecine.worker.added_models import read_record, require_unchanged
from telecine.worker.model_registry import BUILT_IN_FOLDER, CARD_NAME

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
Report = Callable[[str], None]


class ModelAdditionError(Exception):
    """A model cannot be added, verified or removed; the message says why, and names the file."""


@dataclass(frozen=True)
class Addition:
    """What is to be added.

    Attributes:
        name: the model's name in requests.
        weights: its folder, in the layout of diffusers; it stays where it is.
        target: what runs its text encoders: `cpu`, `cuda` or `tensorrt`.
        weights_mode: how the denoiser's weights are held.
        sources: the repository whose model.py files serve every model.
        tensor_parallel: ranks that share each of the denoiser's layers.
        sequence_parallel: ranks that share a video's tokens.
        is_guidance_parallel: whether prompt and negative prompt are denoised side by side.
    """

    name: str
    weights: Path
    target: str
    weights_mode: str
    sources: Path
    tensor_parallel: int = 1
    sequence_parallel: int = 1
    is_guidance_parallel: bool = False


def this_machine_target() -> str:
    """Return `cuda` where NVIDIA's driver tells of a GPU, else `cpu`."""
    return "cuda" if find_platforms() else "cpu"


def add_model(folder: DataFolder, addition: Addition, *, report: Report) -> model_pb2.Model:
    """Check, build, try out and add a model; all of it or nothing.

    Raises:
        ModelAdditionError: the name is taken or wrong, the weights are not whole, or the model
            does not make a step.
    """
    # Triton's client takes a while to import, and all other commands do without.
    from telecine.local.model_trial import TrialFailedError, try_out  # noqa: PLC0415

    _check_name(folder, addition.name)
    folder.added_models.mkdir(parents=True, exist_ok=True)
    folder.added_repository.mkdir(exist_ok=True)
    with _staging(folder) as staging:
        report("checking the weights and writing what serves them")
        _run_backend(
            addition.name,
            addition.weights,
            staging,
            f"--target={addition.target}",
            f"--load={addition.weights_mode}",
            f"--sources={addition.sources}",
            f"--tensor-parallel={addition.tensor_parallel}",
            f"--sequence-parallel={addition.sequence_parallel}",
            *(["--guidance-parallel"] if addition.is_guidance_parallel else []),
        )
        card = read_card(staging / "model")
        report("making one step of a small video")
        log = folder.log(f"add-{addition.name}")
        try:
            try_out(staging / "triton", addition.name, card, log=log)
        except TrialFailedError as error:
            raise ModelAdditionError(str(error)) from error
        for role in (staging / "triton").glob(f"{addition.name}__*"):
            shutil.rmtree(folder.added_repository / role.name, ignore_errors=True)
            role.rename(folder.added_repository / role.name)
        link_sources(folder.added_repository, addition.sources)
        # Last: this is what a worker looks for.
        (staging / "model").rename(folder.added_models / addition.name)
    return card


def verify_model(folder: DataFolder, name: str) -> None:
    """Read an added model whole: its weights, and what was made of them.

    Raises:
        ModelAdditionError: a file has changed, or a plan is for another GPU.
    """
    model = _added_folder(folder, name)
    try:
        _run_backend(name, Path(read_record(model).weights))
        require_unchanged(model)
        for path in folder.added_repository.glob(f"{name}__*/1/{MANIFEST_NAME}"):
            require_checksums(path.parent, read_manifest(path))
    except (ValueError, OSError) as error:
        raise ModelAdditionError(str(error)) from error
    if problem := find_problem(folder.added_repository, name, find_platforms()):
        raise ModelAdditionError(problem)


def retire_model(folder: DataFolder, name: str) -> None:
    """Take a model out of what is served; workers unload it. Its weights stay.

    Raises:
        ModelAdditionError: it was not added here.
    """
    shutil.rmtree(_added_folder(folder, name))


def remove_roles(folder: DataFolder, name: str) -> None:
    """Remove what Triton needed of a model that is retired and unloaded."""
    for role in folder.added_repository.glob(f"{name}__*"):
        shutil.rmtree(role)


def added_names(folder: DataFolder) -> list[str]:
    """Return the models that were added to a data folder."""
    return sorted(path.parent.name for path in folder.added_models.glob(f"[!.]*/{CARD_NAME}"))


def read_card(model: Path) -> model_pb2.Model:
    """Return an added model's card, as it was written."""
    card = json_format.Parse((model / CARD_NAME).read_text(), model_pb2.Model())
    card.name = f"models/{model.name}"
    return card


def _check_name(folder: DataFolder, name: str) -> None:
    if not _NAME.fullmatch(name) or "__" in name:
        raise ModelAdditionError(
            f"{name}: a name has 1 to 63 of a-z, 0-9, '.', '_' and '-', begins and ends with a "
            "letter or digit, and has no '__'"
        )
    if (BUILT_IN_FOLDER / name).is_dir():
        raise ModelAdditionError(f"{name}: the built-in model has this name")
    if (folder.added_models / name).exists():
        raise ModelAdditionError(f"{name}: there is a model of this name; remove it first")


def _added_folder(folder: DataFolder, name: str) -> Path:
    model = folder.added_models / name
    if not _NAME.fullmatch(name) or not model.is_dir():
        known = ", ".join(added_names(folder)) or "none"
        raise ModelAdditionError(f"{name}: not an added model; there are: {known}")
    return model


@contextmanager
def _staging(folder: DataFolder) -> Iterator[Path]:
    """A hidden folder on the same disk, gone at the end whatever happens."""
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=folder.added_models) as path:
        yield Path(path)


def _run_backend(*arguments: str | Path) -> None:
    """In a process of its own: it imports PyTorch, and a broken file may end it."""
    command = [sys.executable, "-m", "telecine.backend.model_addition", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ModelAdditionError(ended.stderr.strip()[-4000:] or f"ended with {ended.returncode}")
