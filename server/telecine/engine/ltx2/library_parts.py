"""The parts of a folder that are diffusers' and transformers' own networks (decision 0022)."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from torch import nn
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

_CLASSES: dict[str, dict[str, Any]] = {
    "text_encoder": {"Gemma3ForConditionalGeneration": Gemma3ForConditionalGeneration},
    "vae": {"AutoencoderKLLTX2Video": AutoencoderKLLTX2Video},
    "audio_vae": {"AutoencoderKLLTX2Audio": AutoencoderKLLTX2Audio},
    "vocoder": {"LTX2Vocoder": LTX2Vocoder, "LTX2VocoderWithBWE": LTX2VocoderWithBWE},
}


def build_part(folder: Path, part: str, *, class_name: str) -> nn.Module:
    """Build what a part's config.json describes, without its weights.

    Raises:
        ValueError: the part is of another class than LTX-2.0 or 2.3 have.
    """
    known = _known_class(folder, part, class_name)
    if part == "text_encoder":
        return Gemma3ForConditionalGeneration(Gemma3Config.from_pretrained(folder / part))
    network: nn.Module = known.from_config(known.load_config(folder / part))
    return network


def load_part(
    folder: Path, part: str, *, class_name: str, device: torch.device, dtype: torch.dtype
) -> Any:
    """Load one of diffusers' parts, in eval mode.

    Raises:
        ValueError: the part is of another class than LTX-2.0 or 2.3 have.
    """
    network = _known_class(folder, part, class_name).from_pretrained(
        folder / part, torch_dtype=dtype, local_files_only=True, use_safetensors=True
    )
    return network.to(device).eval().requires_grad_(requires_grad=False)


def load_gemma(folder: Path, *, class_name: str) -> nn.Module:
    """Load the language model in its files' dtype: not its head, nor what sees images.

    Raises:
        ValueError: the text encoder is another.
    """
    gemma = _known_class(folder, "text_encoder", class_name).from_pretrained(
        folder / "text_encoder", dtype="auto", local_files_only=True, use_safetensors=True
    )
    language_model: nn.Module = gemma.model.language_model
    return language_model.eval().requires_grad_(requires_grad=False)


def _known_class(folder: Path, part: str, class_name: str) -> Any:
    if class_name not in _CLASSES[part]:
        known = ", ".join(_CLASSES[part])
        raise ValueError(f"{folder}: model_index.json: {part}: {class_name!r} is not {known}")
    return _CLASSES[part][class_name]
