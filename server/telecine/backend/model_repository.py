"""Builds the Triton repository of one model: configs, model.py files, encoders.

Config files and model.py files of the built-in model are committed; the encoders' ONNX
files and TensorRT plans are made where they run.
"""

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from telecine.backend.onnx_export import export_encoders
from telecine.backend.tensorrt_plan import build_plan, load_tensorrt
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.inference.model_configs import (
    MAX_BATCH_SIZE,
    EncoderDescription,
    ModelDescription,
    Target,
    TensorDescription,
    write_configs,
)

_BUILT_IN_MODEL = "toybox"
# The committed model.py that serves an encoder of any family.
_ENCODER_SOURCES = {"onnx": "t5_encoder", "torch": "text_projection"}


def describe_model(model: str, weights: str, *, encoder_threads: int = 1) -> ModelDescription:
    """Find out the sizes that a model's configs name, by encoding a prompt."""
    family = load_family(weights)
    tensors = PromptEncoder(family).encode_all("")
    return ModelDescription(
        model=model,
        weights=weights,
        encoders=tuple(EncoderDescription(**asdict(role)) for role in family.encoder_roles),
        tensors={
            "num_tokens": TensorDescription("INT64", (1,)),
            "is_truncated": TensorDescription("BOOL", (1,)),
            **{name: _describe(tensor) for name, tensor in tensors.items()},
        },
        conditioning=family.conditioning,
        encoder_threads=encoder_threads,
    )


def _describe(tensor: Tensor) -> TensorDescription:
    data_type = "FP32" if tensor.is_floating_point() else "INT64"
    return TensorDescription(data_type, tuple(tensor.shape[1:]))


def build_repository(
    folder: Path, sources: Path, *, model: str, weights: str, target: Target = "onnx"
) -> None:
    """Write every role of a model into a repository.

    Args:
        folder: the repository to write.
        sources: the committed repository, whose model.py files serve every model.
        model: the first part of the roles' names.
        weights: the built-in family's name, or a folder.
        target: what runs the text encoders.

    Raises:
        ModuleNotFoundError: the target is TensorRT, which is not installed.
    """
    tensorrt = load_tensorrt() if target == "tensorrt" else None
    description = describe_model(model, weights)
    runtimes = {encoder.name: encoder.runtime for encoder in description.encoders}
    for role, text in write_configs(description, target).items():
        role_folder = folder / f"{model}__{role}"
        (role_folder / "1").mkdir(parents=True, exist_ok=True)
        (role_folder / "config.pbtxt").write_text(text)
        source_role = _ENCODER_SOURCES[runtimes[role]] if role in runtimes else role
        source = sources / f"{_BUILT_IN_MODEL}__{source_role}" / "1" / "model.py"
        copy = role_folder / "1" / "model.py"
        if source.exists() and not (copy.exists() and source.samefile(copy)):
            shutil.copyfile(source, copy)
    onnx_paths = {
        role: folder / f"{model}__{role}" / "1" / "model.onnx"
        for role, runtime in runtimes.items()
        if runtime == "onnx"
    }
    export_encoders(weights, onnx_paths)
    if tensorrt is not None:
        _build_plans(tensorrt, onnx_paths.values())


def _build_plans(tensorrt: Any, onnx_paths: Iterable[Path]) -> None:
    for path in onnx_paths:
        plan = build_plan(tensorrt, path, max_batch_size=MAX_BATCH_SIZE)
        path.with_suffix(".plan").write_bytes(plan)
        # A model.py beside a plan would only mislead.
        path.with_name("model.py").unlink()
        path.unlink()
