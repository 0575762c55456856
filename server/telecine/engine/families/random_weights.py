"""Weights folders with random numbers, of any size: for tests and benchmarks."""

import json
import shutil
from pathlib import Path

import torch
from torch import nn

from telecine.engine.dit.model import DiT, DiTConfig
from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.vae.causal_vae import CausalVAE, CausalVAEConfig

_TEXT_PARTS = ("tokenizer", "text_encoder", "text_encoder_2", "text_projection", "scheduler")


def write_random_weights(
    folder: Path, text_weights: Path, *, dit: DiTConfig, vae: CausalVAEConfig, seed: int = 0
) -> None:
    """Write a folder of the toybox family; what deals with text is `text_weights`' own.

    So is the audio VAE where `dit` has sound. The DiT's `prompt_width` and `pooled_width` must
    be those of `text_weights`.
    """
    torch.manual_seed(seed)
    for part in (*_TEXT_PARTS, "audio_vae") if dit.audio else _TEXT_PARTS:
        shutil.copytree(text_weights / part, folder / part, dirs_exist_ok=True)
    index = json.loads((text_weights / "model_index.json").read_text())
    index["_class_name"] = ToyboxFamily.CLASS_NAME
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    for module, config, part in ((DiT(dit), dit, "transformer"), (CausalVAE(vae), vae, "vae")):
        _open_gates(module)
        save_part(module, config, folder / part)


def _open_gates(module: nn.Module) -> None:
    """Layers start at zero for training; at zero they would compute nothing."""
    for parameter in module.parameters():
        if parameter.ndim == 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
