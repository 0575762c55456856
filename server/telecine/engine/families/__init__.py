"""Families: a folder of weights on disk to encoders, denoiser and VAE."""

import json
from pathlib import Path

from telecine.engine.families.protocol import Family
from telecine.engine.families.toybox import ToyboxFamily

BUILT_IN_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def load_family(weights: str) -> Family:
    """Open a weights folder; a bare name, such as `toybox`, is one that ships with Telecine.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: its model_index.json names no known family.
    """
    folder = BUILT_IN_WEIGHTS / weights if weights.isidentifier() else Path(weights)
    index = json.loads((folder / "model_index.json").read_text())
    if index["_class_name"] != ToyboxFamily.CLASS_NAME:
        raise ValueError(f"{folder}: unknown family {index['_class_name']!r}")
    return ToyboxFamily(folder)


__all__ = ["BUILT_IN_WEIGHTS", "Family", "load_family"]
