"""Builds the Triton repository of one model: configs, model.py files, encoders.

Config files and model.py files of the built-in model are committed; the encoders' ONNX
files and TensorRT plans are made where they run.
"""

import shutil
from pathlib import Path
from typing import Any

import torch

from telecine.backend.onnx_export import export_encoders
from telecine.backend.tensorrt_plan import build_plan, load_tensorrt
from telecine.engine.families import load_family
from telecine.inference.model_configs import (
    MAX_BATCH_SIZE,
    ModelDescription,
    Target,
    write_configs,
)

ENCODERS = ("t5_encoder", "clip_encoder")
_BUILT_IN_MODEL = "toybox"


def describe_model(model: str, weights: str, *, encoder_threads: int = 1) -> ModelDescription:
    """Find out the sizes that a model's configs name, by encoding a prompt."""
    family = load_family(weights)
    prompt = family.load_tokenizer().encode("")
    with torch.inference_mode():
        tokens = (prompt.input_ids, prompt.attention_mask)
        features = (family.load_t5_encoder()(*tokens), family.load_clip_encoder()(*tokens))
        prompt_embeds, pooled_prompt_embeds = family.load_text_projection()(*features)
    return ModelDescription(
        model=model,
        weights=weights,
        max_prompt_tokens=prompt_embeds.shape[1],
        prompt_width=prompt_embeds.shape[2],
        pooled_width=pooled_prompt_embeds.shape[1],
        encoder_threads=encoder_threads,
    )


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
    for role, text in write_configs(describe_model(model, weights), target).items():
        role_folder = folder / f"{model}__{role}"
        (role_folder / "1").mkdir(parents=True, exist_ok=True)
        (role_folder / "config.pbtxt").write_text(text)
        source = sources / f"{_BUILT_IN_MODEL}__{role}" / "1" / "model.py"
        copy = role_folder / "1" / "model.py"
        if source.exists() and source.resolve() != copy.resolve():
            shutil.copyfile(source, copy)
    onnx_paths = [folder / f"{model}__{role}" / "1" / "model.onnx" for role in ENCODERS]
    export_encoders(weights, *onnx_paths)
    if tensorrt is not None:
        _build_plans(tensorrt, onnx_paths)


def _build_plans(tensorrt: Any, onnx_paths: list[Path]) -> None:
    for path in onnx_paths:
        plan = build_plan(tensorrt, path, max_batch_size=MAX_BATCH_SIZE)
        path.with_suffix(".plan").write_bytes(plan)
        # A model.py beside a plan would only mislead.
        path.with_name("model.py").unlink()
        path.unlink()
