"""What is known of an exported encoder: where it comes from, how exact it is, what it runs on.

Written beside the ONNX file or the TensorRT plan, and read before Triton loads it: a plan fits
one kind of GPU and one version of TensorRT.
"""

import hashlib
import importlib.metadata
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MANIFEST_NAME = "manifest.json"
_TENSORRT_PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")
_QUERY_SECONDS = 30.0


@dataclass(frozen=True)
class PlanPlatform:
    """What a plan is made for: a GPU's name and compute capability, and a version of TensorRT."""

    gpu: str
    compute_capability: str
    tensorrt: str

    def __str__(self) -> str:
        return (
            f"{self.gpu} (compute capability {self.compute_capability}), TensorRT {self.tensorrt}"
        )


@dataclass(frozen=True)
class EncoderManifest:
    """Of one role's network.

    Attributes:
        precision: what it computes in, such as `float32`.
        weights_digest: of the weights folder it was made from.
        onnx_sha256: of the graph; a plan is built from it.
        files: SHA-256 of the files that Triton loads, by name.
        file_bytes: their sizes.
        max_abs_error: the largest difference from PyTorch in float32.
        max_abs_value: the largest output, which that is to be seen against.
        compared: what was compared.
        libraries: versions of what it was made with.
        plan: what the plan is for; None where the graph itself is served.
    """

    model: str
    role: str
    precision: str
    weights_digest: str
    onnx_sha256: str
    files: Mapping[str, str]
    file_bytes: Mapping[str, int]
    max_abs_error: float
    max_abs_value: float
    compared: str
    libraries: Mapping[str, str]
    plan: PlanPlatform | None = None

    def to_json(self) -> str:
        """Write it for people and for `read_manifest`."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read_manifest(path: Path) -> EncoderManifest:
    """Undo `EncoderManifest.to_json`.

    Raises:
        ValueError: it is not a manifest; the message names the file.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        plan = values.pop("plan", None)
        return EncoderManifest(**values, plan=PlanPlatform(**plan) if plan else None)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not an encoder's manifest: {error}") from error


def find_platforms() -> tuple[PlanPlatform, ...]:
    """Return what this machine runs plans on, for each of its GPUs; nothing where it cannot."""
    versions = [version for name in _TENSORRT_PACKAGES if (version := _version_of(name))]
    try:
        told = subprocess.run(
            _QUERY, capture_output=True, text=True, check=True, timeout=_QUERY_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    gpus = [line.rpartition(",") for line in told.stdout.splitlines() if "," in line]
    return tuple(
        PlanPlatform(name.strip(), capability.strip(), versions[0] if versions else "none")
        for name, _, capability in gpus
    )


def find_problem(repository: Path, model: str, platforms: Sequence[PlanPlatform]) -> str:
    """Return why Triton must not load a model's encoders on these platforms; empty if it may."""
    for config in sorted(repository.glob(f"{model}__*/config.pbtxt")):
        folder = config.parent / "1"
        try:
            if (folder / MANIFEST_NAME).exists():
                _check(folder, read_manifest(folder / MANIFEST_NAME), platforms)
            elif plans := sorted(folder.glob("*.plan")):
                raise ValueError(f"{plans[0]}: nothing says which GPU it was built for")
        except ValueError as error:
            return str(error)
    return ""


def require_checksums(folder: Path, manifest: EncoderManifest) -> None:
    """Read the files whole; raise ValueError, which names the file, where one has changed."""
    for name, sha256 in manifest.files.items():
        if file_sha256(folder / name) != sha256:
            raise ValueError(f"{folder / name}: not the file that its {MANIFEST_NAME} describes")


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(folder: Path, manifest: EncoderManifest, platforms: Sequence[PlanPlatform]) -> None:
    for name, num_bytes in manifest.file_bytes.items():
        path = folder / name
        found_bytes = path.stat().st_size if path.is_file() else -1
        if found_bytes != num_bytes:
            state = f"has {found_bytes} bytes, not {num_bytes}" if found_bytes >= 0 else "missing"
            raise ValueError(f"{path}: {state}")
    if manifest.plan is None:
        return
    if not platforms:
        raise ValueError(f"{folder}: its plan was built for {manifest.plan}; there is no GPU here")
    for platform in platforms:
        if platform != manifest.plan:
            raise ValueError(
                f"{folder}: its plan was built for {manifest.plan}; here is {platform}"
            )


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
