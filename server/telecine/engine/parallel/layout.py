"""How one denoiser is laid out over the ranks of a group."""

from dataclasses import dataclass, fields
from math import prod
from typing import Self

_SIZE = "_parallel_size"


@dataclass(frozen=True)
class ParallelConfig:
    """Ranks along each axis; their product is the group's size.

    Raises:
        ValueError: a size that is impossible.
    """

    tensor_parallel_size: int = 1
    """Ranks that share each layer's heads and hidden units (Shoeybi et al. 2019)."""
    sequence_parallel_size: int = 1
    """Ranks that share a video's tokens (Jacobs et al. 2023)."""
    guidance_parallel_size: int = 1
    """2: prompt and negative prompt are denoised side by side."""

    def __post_init__(self) -> None:
        for name, size in self._sizes().items():
            if size < 1:
                raise ValueError(f"{name}: {size} is no number of ranks")
        if self.guidance_parallel_size > 2:
            raise ValueError(
                f"guidance_parallel_size: {self.guidance_parallel_size}, but there are only a "
                "prompt and a negative prompt"
            )

    @property
    def num_ranks(self) -> int:
        """Processes, and devices, that the layout takes."""
        return prod(self._sizes().values())

    def __str__(self) -> str:
        """Say what is split, such as `tensor 2, guidance 2`; nothing for one rank."""
        sizes = self._sizes().items()
        return ", ".join(f"{name.removesuffix(_SIZE)} {size}" for name, size in sizes if size > 1)

    @classmethod
    def from_parameters(cls, parameters: dict[str, str]) -> Self:
        """Read the sizes among a model's parameters; one that is not named is 1.

        Raises:
            ValueError: a size that is no number, or impossible.
        """
        names = [field.name for field in fields(cls)]
        try:
            return cls(**{name: int(parameters[name]) for name in names if name in parameters})
        except ValueError as error:
            raise ValueError(f"layout of the model: {error}") from error

    def _sizes(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


ONE_RANK = ParallelConfig()
