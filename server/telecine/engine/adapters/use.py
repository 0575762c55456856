"""What a request asks for of a model's adapters."""

from typing import NamedTuple

Stamp = tuple[tuple[str, int, int], ...]
"""Of an adapter's files, each its path, size and time of change: others, once it has changed."""


class LoraUse(NamedTuple):
    """An adapter by its name in the model's `loras` folder, and how strongly it acts."""

    name: str
    scale: float
    stamp: Stamp = ()
    """Of what was read; a request knows none."""
