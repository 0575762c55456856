"""The text encoders of a family as ONNX files."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from telecine.engine.families import load_family
from telecine.engine.families.protocol import EncoderRole

_OPSET = 18
_BATCH = 2
"""Exported from a batch of two, since a batch of one would be taken for a constant."""


def export_encoders(weights: str, paths: Mapping[str, Path]) -> None:
    """Write encoder roles to `paths`, each with a batch of any size."""
    family = load_family(weights)
    prompt = family.load_tokenizer().encode("a red circle moving left")
    tensors = {"input_ids": prompt.input_ids, "attention_mask": prompt.attention_mask}
    tensors = {name: torch.cat([value] * _BATCH) for name, value in tensors.items()}
    for role in family.encoder_roles:
        encoder = family.load_encoder(role.name)
        inputs = tuple(tensors[name] for name in role.inputs)
        with torch.inference_mode():
            outputs = encoder(*inputs)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        tensors.update(zip(role.outputs, (output.clone() for output in outputs), strict=True))
        if role.name in paths:
            _export(encoder, inputs, paths[role.name], role=role)


def _export(
    encoder: nn.Module, inputs: tuple[Tensor, ...], path: Path, *, role: EncoderRole
) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    temporary = path.with_suffix(".partial")
    torch.onnx.export(
        encoder.eval(),
        inputs,
        str(temporary),
        input_names=list(role.inputs),
        output_names=list(role.outputs),
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        opset_version=_OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    temporary.replace(path)
