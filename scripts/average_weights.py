"""Averages the picture's part of toybox's weights over runs that began from the same weights.

python scripts/average_weights.py FOLDER FOLDER [...] --to FOLDER

Runs of other seeds err in other directions, which their mean leaves out (Wortsman et al. 2022).
Text encoders and projection are averaged with the DiT; all else is the first folder's.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

PARTS = (
    "transformer/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder_2/model.safetensors",
    "text_projection/diffusion_pytorch_model.safetensors",
)


def main() -> None:
    """Read the command line and write the mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    shutil.copytree(options.folders[0], options.to)
    for part in PARTS:
        runs = [load_file(folder / part) for folder in options.folders]
        mean = {
            name: torch.stack([run[name].float() for run in runs]).mean(0).to(tensor.dtype)
            for name, tensor in runs[0].items()
        }
        save_file(mean, options.to / part, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
