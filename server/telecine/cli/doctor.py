"""`telecine doctor`: what is installed, reachable, wrong."""

import asyncio
import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from telecine.cli.console import output, plain_table
from telecine.cli.options import DataDirOption, ServerOption, find_server
from telecine.cli.up import MODEL_REPOSITORY
from telecine.errors import TelecineError
from telecine.inference.triton_installation import find_triton
from telecine.local.data_folder import DataFolder

if TYPE_CHECKING:
    from telecine.config import Settings, WorkerSettings

# Triton's Python backend reads arrays of NumPy 1 alone.
NUMPY_MAJOR = "1."
NEEDED_PACKAGES = ("torch", "transformers", "safetensors", "onnxruntime", "av", "uvloop")
SHARED_MEMORY = Path("/dev/shm")
NEEDED_SHARED_BYTES = 64 << 20
NEEDED_DISK_BYTES = 1 << 30


class CheckFailedError(Exception):
    """Something is not as it must be; the message says what, and what helps."""


def doctor(data_dir: DataDirOption, server: ServerOption = "") -> None:
    """Check this machine; ends with 1 where something that is needed is missing."""
    settings = _settings_of(data_dir)
    checks: dict[str, Callable[[], str]] = {
        "python": _check_python,
        "numpy": _check_numpy,
        "packages": _check_packages,
        "triton": _check_triton,
        "redis": _check_redis,
        "models": _check_model_repository,
        "weights": lambda: asyncio.run(_check_weights(settings.worker)),
        "objects": lambda: asyncio.run(_check_objects(settings.storage.url)),
        "shared memory": _check_shared_memory,
        "disk": lambda: _check_disk(data_dir),
    }
    table = plain_table("", "", "")
    num_failed = 0
    for name, check in checks.items():
        try:
            table.add_row("[green]ok[/]", name, escape(check()))
        except (CheckFailedError, TelecineError, OSError, ValueError) as error:
            table.add_row("[red]wrong[/]", name, escape(str(error)))
            num_failed += 1
    table.add_row("[dim]info[/]", "server", escape(_describe_server(server, data_dir)))
    output.print(table)
    if num_failed:
        raise typer.Exit(1)


def _check_python() -> str:
    return f"{sys.version.split()[0]} at {sys.prefix}"


def _check_numpy() -> str:
    version = importlib.metadata.version("numpy")
    if not version.startswith(NUMPY_MAJOR):
        raise CheckFailedError(f"{version}, but Triton's Python backend needs 1.26.4")
    return version


def _check_packages() -> str:
    missing = [name for name in NEEDED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise CheckFailedError(f"missing: {', '.join(missing)}; run scripts/setup")
    return f"torch {importlib.metadata.version('torch')} and the rest"


def _check_triton() -> str:
    return str(find_triton().executable)


def _check_redis() -> str:
    # Here as below: the other commands share this process's imports, and need none of these.
    from telecine.jobs.redis_server import find_redis_binary  # noqa: PLC0415

    return str(find_redis_binary())


def _check_model_repository() -> str:
    configs = sorted(MODEL_REPOSITORY.glob("*/config.pbtxt"))
    if not configs:
        raise CheckFailedError(f"no models in {MODEL_REPOSITORY}")
    missing = list(_missing_onnx_files(configs))
    if missing:
        raise CheckFailedError(f"{', '.join(missing)} not built; run scripts/setup")
    return f"{len(configs)} in {MODEL_REPOSITORY}"


def _settings_of(data_dir: Path) -> "Settings":
    """Returns what the service of a data folder was last started with, else the environment's."""
    from telecine.config import load_settings  # noqa: PLC0415

    file = DataFolder(data_dir.resolve()).settings
    return load_settings(file if file.exists() else None)


async def _check_weights(options: "WorkerSettings") -> str:
    from telecine.worker.served_models import open_registry  # noqa: PLC0415

    registry, _ = open_registry(options)
    found = await registry.read_all(options.models)
    if found.rejected:
        raise CheckFailedError("; ".join(f"{bad.weights}: {bad.reason}" for bad in found.rejected))
    return ", ".join(f"{model.model_id} {model.card.version}" for model in found.models)


async def _check_objects(url: str) -> str:
    from telecine.storage import open_object_store  # noqa: PLC0415

    async with aclosing(open_object_store(url).list_keys()) as keys:
        await anext(keys, None)
    return url


def _missing_onnx_files(configs: list[Path]) -> Iterator[str]:
    for config in configs:
        is_exported = 'string_value: "onnx"' in config.read_text()
        if is_exported and not list(config.parent.glob("1/model.*nx")):
            yield f"{config.parent.name}/1/model.onnx"


def _check_shared_memory() -> str:
    free_bytes = shutil.disk_usage(SHARED_MEMORY).free
    if free_bytes < NEEDED_SHARED_BYTES:
        raise CheckFailedError(f"{_mebibytes(free_bytes)} free in {SHARED_MEMORY}, needs 64 MiB")
    return f"{_mebibytes(free_bytes)} free"


def _check_disk(data_dir: Path) -> str:
    folder = next(path for path in (data_dir, *data_dir.resolve().parents) if path.exists())
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < NEEDED_DISK_BYTES:
        raise CheckFailedError(f"{_mebibytes(free_bytes)} free in {folder}, needs 1,024 MiB")
    return f"{_mebibytes(free_bytes)} free in {folder}"


def _describe_server(server: str, data_dir: Path) -> str:
    address = find_server(server, data_dir)
    return f"answers at {address}" if address else "none runs here; `telecine up` starts one"


def _mebibytes(count: int) -> str:
    return f"{count >> 20:,} MiB"
