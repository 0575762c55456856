"""The text encoders of a family as ONNX files, each compared with PyTorch."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from telecine.backend.onnx_model import OnnxModel
from telecine.backend.precision import EncoderInPrecision, encoder_precision
from telecine.engine.families.protocol import EncoderRole, Family

_OPSET = 18
PROMPTS = ("a red circle moving left", "a cat, seen from above, walks along a wall at dawn")
"""What encoders are compared on; two, since a batch of one would be exported as a constant."""


@dataclass(frozen=True)
class ExportOptions:
    """How encoders are exported.

    Attributes:
        max_embedded_bytes: weights that take more lie in a file beside the graph: protobuf takes
            2 GB a file.
        bfloat16_parameters: encoders of so many parameters or more are exported in bfloat16, for
            which ONNX Runtime has no kernels on the CPU; None for none of them.
    """

    max_embedded_bytes: int = 1 << 30
    bfloat16_parameters: int | None = None


_DEFAULT_OPTIONS = ExportOptions()


@dataclass(frozen=True)
class ExportedEncoder:
    """An ONNX file, and how far it is from PyTorch in float32.

    Attributes:
        precision: PyTorch's name of the type that it computes in.
        max_abs_error: the largest difference of an output.
        max_abs_value: the largest output, which that is to be seen against.
        compared: what was compared with PyTorch in float32.
    """

    path: Path
    precision: str
    max_abs_error: float
    max_abs_value: float
    compared: str


def export_encoders(
    family: Family, paths: Mapping[str, Path], options: ExportOptions = _DEFAULT_OPTIONS
) -> tuple[dict[str, ExportedEncoder], dict[str, Tensor]]:
    """Write encoder roles to `paths`, each with a batch of any size.

    Graphs with their weights apart have those in `{path}.data`. One encoder is in memory at a
    time.

    Returns:
        What was written, by role, and every tensor that PyTorch makes of PROMPTS, by name.
    """
    tokenizer = family.load_tokenizer()
    prompts = [tokenizer.encode(prompt) for prompt in PROMPTS]
    tensors = {
        "input_ids": torch.from_numpy(np.concatenate([each.input_ids for each in prompts])),
        "attention_mask": torch.from_numpy(
            np.concatenate([each.attention_mask for each in prompts])
        ),
    }
    exported = {}
    for role in family.encoder_roles:
        encoder = family.load_encoder(role.name)
        outputs = _run(encoder, tuple(tensors[name] for name in role.inputs))
        tensors.update(zip(role.outputs, outputs, strict=True))
        if role.name in paths:
            near = {name: tensors[name] for name in (*role.inputs, *role.outputs)}
            exported[role.name] = _export(
                encoder, role, near, path=paths[role.name], options=options
            )
        del encoder
    return exported, tensors


@torch.inference_mode()
def _run(encoder: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    outputs = encoder(*inputs)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    # Tensors of inference mode cannot be traced.
    return tuple(output.clone() for output in outputs)


def _export(
    encoder: nn.Module,
    role: EncoderRole,
    tensors: Mapping[str, Tensor],
    *,
    path: Path,
    options: ExportOptions,
) -> ExportedEncoder:
    inputs = tuple(tensors[name].clone() for name in role.inputs)
    precision = torch.float32
    if options.bfloat16_parameters is not None:
        precision = encoder_precision(encoder, bfloat16_parameters=options.bfloat16_parameters)
    if precision != torch.float32:
        encoder = EncoderInPrecision(encoder, precision)
    _write(encoder, inputs, path, role=role, max_embedded_bytes=options.max_embedded_bytes)
    if precision == torch.float32:
        compared = "the graph in ONNX Runtime"
        by_name = OnnxModel(path, num_threads=torch.get_num_threads()).run(
            {name: tensors[name].numpy() for name in role.inputs}
        )
        found = tuple(torch.from_numpy(by_name[name]) for name in role.outputs)
    else:
        compared = "the same network in PyTorch in bfloat16"
        found = _run(encoder, inputs)
    expected = [tensors[name] for name in role.outputs]
    pairs = list(zip(found, expected, strict=True))
    return ExportedEncoder(
        path,
        precision=str(precision).removeprefix("torch."),
        max_abs_error=max(float((a - b).abs().max()) for a, b in pairs),
        max_abs_value=max(float(value.abs().max()) for value in expected),
        compared=compared,
    )


def _write(
    encoder: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    *,
    role: EncoderRole,
    max_embedded_bytes: int,
) -> None:
    num_bytes = sum(tensor.nbytes for tensor in encoder.state_dict().values())
    batch = torch.export.Dim("batch", min=1, max=64)
    # In a folder of its own under its last name: the graph names the file beside it.
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        torch.onnx.export(
            encoder.eval(),
            inputs,
            str(Path(temporary, path.name)),
            input_names=list(role.inputs),
            output_names=list(role.outputs),
            dynamic_shapes=_dynamic_batch(encoder, len(inputs), batch),
            opset_version=_OPSET,
            dynamo=True,
            external_data=num_bytes > max_embedded_bytes,
            verbose=False,
        )
        for name in (f"{path.name}.data", path.name):
            path.with_name(name).unlink(missing_ok=True)
            if (written := Path(temporary, name)).exists():
                written.replace(path.with_name(name))


def _dynamic_batch(encoder: nn.Module, num_inputs: int, batch: object) -> tuple[object, ...]:
    """A forward with *args takes its shapes as one argument."""
    dims = tuple({0: batch} for _ in range(num_inputs))
    return (dims,) if isinstance(encoder, EncoderInPrecision) else dims
