"""Families: a folder of weights on disk to tokenizer, encoders, denoiser and VAE."""

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from telecine.engine.text_encoders.tokenizer import Tokenizer

if TYPE_CHECKING:
    from telecine.engine.families.protocol import Family

BUILT_IN_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


class _Loaders(NamedTuple):
    """Modules of the engine, each with what opens a folder; imported when that is to be opened.

    PyTorch and some families' libraries take seconds, and a tokenizer's process needs neither.
    """

    family: str
    tokenizer: str


_WAN = _Loaders("families.wan:WanFamily", "wan.tokenizer:load_tokenizer")
# By the pipeline that model_index.json names.
_LOADERS = {
    "LTX2Pipeline": _Loaders("families.ltx2:LTX2Family", "ltx2.tokenizer:load_tokenizer"),
    "MochiPipeline": _Loaders("families.mochi:MochiFamily", "mochi.tokenizer:load_tokenizer"),
    "ToyboxPipeline": _Loaders(
        "families.toybox:ToyboxFamily", "text_encoders.tokenizer:load_tokenizer"
    ),
    "WanPipeline": _WAN,
    "WanImageToVideoPipeline": _WAN,
}


def weights_folder(weights: str) -> Path:
    """Where weights lie; a bare name, such as `toybox`, is of a folder that ships with Telecine."""
    return BUILT_IN_WEIGHTS / weights if weights.isidentifier() else Path(weights)


def load_family(weights: str) -> "Family":
    """Open a weights folder; a bare name, such as `toybox`, is one that ships with Telecine.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: its model_index.json cannot be read, or names no known family.
    """
    folder = weights_folder(weights)
    return cast("Family", _import(_find_loaders(folder).family)(folder))


def load_tokenizer(weights: str) -> Tokenizer:
    """Open the tokenizer of a weights folder alone, without PyTorch; as `load_family`."""
    folder = weights_folder(weights)
    return cast(Tokenizer, _import(_find_loaders(folder).tokenizer)(folder))


def _find_loaders(folder: Path) -> _Loaders:
    path = folder / "model_index.json"
    try:
        pipeline = json.loads(path.read_text())["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the index of a pipeline: {error!r}") from error
    if pipeline not in _LOADERS:
        known = ", ".join(_LOADERS)
        raise ValueError(f"{path}: no family is known for {pipeline!r}, only for {known}")
    return _LOADERS[pipeline]


def _import(loader: str) -> Any:
    module, _, name = loader.partition(":")
    return getattr(import_module(f"telecine.engine.{module}"), name)


__all__ = ["BUILT_IN_WEIGHTS", "load_family", "load_tokenizer", "weights_folder"]
