"""How a network's weights are held."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

WeightsMode = Literal["full", "offload", "disk", "int8", "fp8"]
WEIGHTS_MODES: tuple[WeightsMode, ...] = get_args(WeightsMode)


@dataclass(frozen=True)
class LoadOptions:
    """What a user chooses when a model is added, and what becomes of a block once it is loaded.

    Attributes:
        weights_mode: `full`: all on the device. `offload`: blocks wait in the host's memory
            and come to the device one ahead of their turn. `disk`: they wait in their files.
            `int8`: the blocks' matrices as 8-bit integers with a scale a row. `fp8`: matrices
            and what they are multiplied with as 8-bit floats, on a GPU that has these.
        after_block: called with each block, an `nn.Module`, as soon as its weights are there and
            before those of the next one are.

    Raises:
        ValueError: there is no such mode.
    """

    weights_mode: str = "full"
    after_block: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        if self.weights_mode not in WEIGHTS_MODES:
            modes = ", ".join(WEIGHTS_MODES)
            raise ValueError(f"weights_mode: there is no {self.weights_mode!r}; there are {modes}")


FULL = LoadOptions()
