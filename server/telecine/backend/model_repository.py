"""Builds the Triton repository of one model: configs, model.py files, encoders.

Config files and model.py files of the built-in model are committed; the encoders' ONNX
files and TensorRT plans are made where they run, each with a manifest beside it.
"""

import importlib.metadata
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from telecine import __version__
from telecine.backend.onnx_export import ExportedEncoder, ExportOptions, export_encoders
from telecine.backend.precision import LARGE_PARAMETERS
from telecine.backend.tensorrt_plan import build_plan, load_tensorrt
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.protocol import Family, FamilyCard
from telecine.engine.offload.options import WeightsMode
from telecine.engine.parallel.layout import ONE_RANK, ParallelConfig, require_layout
from telecine.inference.encoder_manifest import (
    MANIFEST_NAME,
    EncoderManifest,
    PlanPlatform,
    file_sha256,
    find_platforms,
)
from telecine.inference.model_configs import (
    MAX_BATCH_SIZE,
    EncoderDescription,
    ModelDescription,
    Target,
    TensorDescription,
    write_configs,
)

_BUILT_IN_MODEL = "toybox"
# The role whose committed model.py serves every encoder of any family.
_ENCODER_SOURCE = "t5_encoder"
_LIBRARIES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class BuildOptions:
    """How a model is to be served.

    Attributes:
        target: what runs the text encoders.
        weights_mode: how the denoiser's weights are held: see `LoadOptions`.
        parallel: how the denoiser is laid out over ranks.
        weights_digest: of the weights folder, for the manifests.
        max_embedded_bytes: as in ExportOptions.
        bfloat16_parameters: encoders of so many parameters or more become plans in bfloat16.
    """

    target: Target = "cpu"
    weights_mode: WeightsMode = "full"
    parallel: ParallelConfig = ONE_RANK
    weights_digest: str = ""
    max_embedded_bytes: int = ExportOptions.max_embedded_bytes
    bfloat16_parameters: int = LARGE_PARAMETERS

    @property
    def export(self) -> ExportOptions:
        """How its ONNX files are written: ONNX Runtime has no bfloat16 on the CPU."""
        is_plan = self.target == "tensorrt"
        return ExportOptions(
            max_embedded_bytes=self.max_embedded_bytes,
            bfloat16_parameters=self.bfloat16_parameters if is_plan else None,
        )


_DEFAULT_OPTIONS = BuildOptions()


def describe_model(model: str, weights: str, *, encoder_threads: int = 1) -> ModelDescription:
    """Find out the sizes that a model's configs name, by encoding a prompt."""
    family = load_family(weights)
    tensors = PromptEncoder(family).encode_all("")
    description = _describe(family, tensors, model=model, weights=weights)
    return replace(description, encoder_threads=encoder_threads)


def build_repository(
    folder: Path,
    sources: Path,
    *,
    model: str,
    weights: str,
    options: BuildOptions = _DEFAULT_OPTIONS,
) -> dict[str, Tensor]:
    """Write every role of a model into a repository.

    Args:
        folder: the repository to write.
        sources: the committed repository, whose model.py files serve every model.
        model: the first part of the roles' names.
        weights: the built-in family's name, or a folder.
        options: what runs it.

    Returns:
        What PyTorch makes of `telecine.backend.onnx_export.PROMPTS`, on the way and at the end.

    Raises:
        ModuleNotFoundError: the target is TensorRT, which is not installed.
        ValueError: the denoiser cannot be laid out so.
    """
    tensorrt = load_tensorrt() if options.target == "tensorrt" else None
    family = load_family(weights)
    require_layout(family.parallel_plan, options.parallel, weights_mode=options.weights_mode)
    runtimes = {
        role.name: "torch" if options.target == "cuda" else role.runtime
        for role in family.encoder_roles
    }
    onnx_paths = _make_onnx_paths(folder, model, runtimes)
    exported, tensors = export_encoders(family, onnx_paths, options.export)
    for role, encoder in exported.items():
        _finish_encoder(tensorrt, encoder, model=model, role=role, options=options)
    description = replace(
        _describe(family, tensors, model=model, weights=weights, parallel=options.parallel),
        weights_mode=options.weights_mode,
    )
    for role, text in write_configs(description, options.target).items():
        role_folder = folder / f"{model}__{role}"
        (role_folder / "1").mkdir(parents=True, exist_ok=True)
        if tensorrt is None or role not in exported:  # a plan needs no model.py
            _copy_source(sources, _ENCODER_SOURCE if role in runtimes else role, role_folder)
        # Last: without it Triton sees no model.
        (role_folder / "config.pbtxt").write_text(text)
    return tensors


def _make_onnx_paths(folder: Path, model: str, runtimes: Mapping[str, str]) -> dict[str, Path]:
    paths = {
        role: folder / f"{model}__{role}" / "1" / "model.onnx"
        for role, runtime in runtimes.items()
        if runtime == "onnx"
    }
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    return paths


def _describe(
    family: Family,
    tensors: Mapping[str, Tensor],
    *,
    model: str,
    weights: str,
    parallel: ParallelConfig = ONE_RANK,
) -> ModelDescription:
    card = family.card.laid_out(family.parallel_plan, parallel)
    return ModelDescription(
        model=model,
        weights=weights,
        encoders=tuple(EncoderDescription(**asdict(role)) for role in family.encoder_roles),
        tensors={
            "num_tokens": TensorDescription("INT64", (1,)),
            "max_tokens": TensorDescription("INT64", (1,)),
            "is_truncated": TensorDescription("BOOL", (1,)),
            **{name: _describe_tensor(tensor) for name, tensor in tensors.items()},
        },
        conditioning=family.conditioning,
        image_conditioning=(
            dict(family.image_conditioning) if card.is_made_from_pictures else None
        ),
        audio_modes=card.audio_modes,
        given_audio_dims=_given_audio_dims(family, card),
        parallel_sizes=parallel.sizes,
    )


def _given_audio_dims(family: Family, card: FamilyCard) -> int:
    if "AUDIO_TO_VIDEO" not in card.features:
        return 0
    shape = family.audio_latents_shape(num_frames=1, fps=1)
    assert shape is not None
    return len(shape) - 1


def _describe_tensor(tensor: Tensor) -> TensorDescription:
    data_type = "FP32" if tensor.is_floating_point() else "INT64"
    return TensorDescription(data_type, tuple(tensor.shape[1:]))


def _copy_source(sources: Path, source_role: str, role_folder: Path) -> None:
    source = sources / f"{_BUILT_IN_MODEL}__{source_role}" / "1" / "model.py"
    copy = role_folder / "1" / "model.py"
    if source.exists() and not (copy.exists() and source.samefile(copy)):
        shutil.copyfile(source, copy)


def _finish_encoder(
    tensorrt: Any, encoder: ExportedEncoder, *, model: str, role: str, options: BuildOptions
) -> None:
    """Make a plan of a graph where that is the target, and write down what is known of it."""
    path = encoder.path
    onnx_sha256 = file_sha256(path)
    platform = None
    if tensorrt is not None:
        platform = _platform_of(tensorrt)
        plan = build_plan(tensorrt, path, max_batch_size=MAX_BATCH_SIZE)
        path.with_suffix(".plan").write_bytes(plan)
        for name in (path.name, f"{path.name}.data"):
            path.with_name(name).unlink(missing_ok=True)
    files = sorted(each for each in path.parent.glob("model.*") if each.suffix != ".py")
    manifest = EncoderManifest(
        model=model,
        role=role,
        precision=encoder.precision,
        weights_digest=options.weights_digest,
        onnx_sha256=onnx_sha256,
        files={file.name: file_sha256(file) for file in files},
        file_bytes={file.name: file.stat().st_size for file in files},
        max_abs_error=encoder.max_abs_error,
        max_abs_value=encoder.max_abs_value,
        compared=encoder.compared,
        libraries={"telecine": __version__}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
        plan=platform,
    )
    path.with_name(MANIFEST_NAME).write_text(manifest.to_json())


def _platform_of(tensorrt: Any) -> PlanPlatform:
    """What a plan built here is for.

    Raises:
        ValueError: there is no GPU, or there are different ones.
    """
    platforms = {(each.gpu, each.compute_capability) for each in find_platforms()}
    if len(platforms) != 1:
        raise ValueError(f"a plan is for one kind of GPU; here are {len(platforms)}")
    ((gpu, capability),) = platforms
    return PlanPlatform(gpu, capability, str(tensorrt.__version__))
