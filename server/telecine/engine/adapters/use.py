"""What a request asks for of a model's adapters."""

from typing import NamedTuple


class LoraUse(NamedTuple):
    """An adapter by its name in the model's `loras` folder, and how strongly it acts."""

    name: str
    scale: float
