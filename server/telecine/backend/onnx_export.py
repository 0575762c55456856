"""The text encoders of a family as ONNX files."""

from pathlib import Path

import torch
from torch import Tensor, nn

from telecine.engine.families import load_family

_OPSET = 18
INPUT_NAMES = ("input_ids", "attention_mask")


def export_encoders(weights: str, t5_path: Path, clip_path: Path) -> None:
    """Write both encoders, each with a batch of any size and tokens of the model's length."""
    family = load_family(weights)
    prompt = family.load_tokenizer().encode("a red circle moving left")
    tokens = (prompt.input_ids, prompt.attention_mask)
    _export(family.load_t5_encoder(), tokens, t5_path, output_name="t5_hidden_states")
    _export(family.load_clip_encoder(), tokens, clip_path, output_name="clip_pooled")


def _export(
    encoder: nn.Module, tokens: tuple[Tensor, Tensor], path: Path, *, output_name: str
) -> None:
    # Exported from a batch of two, since a batch of one would be taken for a constant.
    inputs = tuple(torch.cat((values, values)) for values in tokens)
    batch = torch.export.Dim("batch", min=1, max=64)
    temporary = path.with_suffix(".partial")
    torch.onnx.export(
        encoder.eval(),
        inputs,
        str(temporary),
        input_names=list(INPUT_NAMES),
        output_names=[output_name],
        dynamic_shapes=tuple({0: batch} for _ in INPUT_NAMES),
        opset_version=_OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    temporary.replace(path)
