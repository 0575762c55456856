"""Families: a folder of weights on disk to encoders, denoiser and VAE."""

import json
from importlib import import_module
from pathlib import Path
from typing import cast

from telecine.engine.families.protocol import Family

BUILT_IN_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
# By the pipeline that model_index.json names. A module is imported when its family is opened:
# some import libraries that take seconds.
_FAMILIES = {
    "LTX2Pipeline": "ltx2:LTX2Family",
    "MochiPipeline": "mochi:MochiFamily",
    "ToyboxPipeline": "toybox:ToyboxFamily",
    "WanPipeline": "wan:WanFamily",
    "WanImageToVideoPipeline": "wan:WanFamily",
}


def weights_folder(weights: str) -> Path:
    """Where weights lie; a bare name, such as `toybox`, is of a folder that ships with Telecine."""
    return BUILT_IN_WEIGHTS / weights if weights.isidentifier() else Path(weights)


def load_family(weights: str) -> Family:
    """Open a weights folder; a bare name, such as `toybox`, is one that ships with Telecine.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: its model_index.json cannot be read, or names no known family.
    """
    folder = weights_folder(weights)
    path = folder / "model_index.json"
    try:
        pipeline = json.loads(path.read_text())["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the index of a pipeline: {error!r}") from error
    if pipeline not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ValueError(f"{path}: no family is known for {pipeline!r}, only for {known}")
    module, _, family = _FAMILIES[pipeline].partition(":")
    return cast(Family, getattr(import_module(f"{__name__}.{module}"), family)(folder))


__all__ = ["BUILT_IN_WEIGHTS", "Family", "load_family", "weights_folder"]
