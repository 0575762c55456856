"""How one denoiser is laid out over the ranks of a group."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import Literal, Self

Axis = Literal["tensor", "sequence", "guidance"]
MAX_RANKS = 64
"""Along one axis: more than any machine has GPUs."""
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
        for name, size in self.sizes.items():
            if not 1 <= size <= MAX_RANKS:
                raise ValueError(f"{name}: {size} is not 1 to {MAX_RANKS}")
        if self.guidance_parallel_size > 2:
            raise ValueError(
                f"guidance_parallel_size: {self.guidance_parallel_size}, but there are only a "
                "prompt and a negative prompt"
            )

    @property
    def num_ranks(self) -> int:
        """Processes, and devices, that the layout takes."""
        return prod(self.sizes.values())

    def __str__(self) -> str:
        """Say what is split, such as `tensor 2, guidance 2`; nothing for one rank."""
        sizes = self.sizes.items()
        return ", ".join(f"{name.removesuffix(_SIZE)} {size}" for name, size in sizes if size > 1)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read the sizes among a model's parameters; one that is not named is 1.

        Raises:
            ValueError: a size that is no number, or impossible.
        """
        names = [field.name for field in fields(cls)]
        try:
            return cls(**{name: int(parameters[name]) for name in names if name in parameters})
        except ValueError as error:
            raise ValueError(f"layout of the model: {error}") from error

    @property
    def sizes(self) -> dict[str, int]:
        """All three by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


ONE_RANK = ParallelConfig()


@dataclass(frozen=True)
class ParallelPlan:
    """How a family's denoiser can be shared by ranks; see `telecine.engine.parallel.parallelize`.

    Attributes:
        num_heads: of its attentions, each of them, where they differ.
        axes: what it can be shared along.
        head_axes: those of them whose ranks share the heads among them.
        silent_axes: those of them along which no sound is denoised with the picture.
    """

    num_heads: tuple[int, ...]
    axes: frozenset[Axis]
    head_axes: frozenset[Axis] = frozenset({"tensor"})
    silent_axes: frozenset[Axis] = frozenset()

    def has_joint_sound(self, config: ParallelConfig) -> bool:
        """Whether a network with sound, laid out so, denoises it along with the picture."""
        split = {name.removesuffix(_SIZE) for name, size in config.sizes.items() if size > 1}
        return not split & self.silent_axes

    def check(self, config: ParallelConfig) -> None:
        """Raise ValueError, with the size's name, where the denoiser cannot be laid out so."""
        sizes = {name: size for name, size in config.sizes.items() if size > 1}
        for name, size in sizes.items():
            if name.removesuffix(_SIZE) not in self.axes:
                possible = ", ".join(sorted(self.axes))
                raise ValueError(f"{name}: {size}: this model is shared by {possible} alone")
        on_heads = {name: sizes.get(name + _SIZE, 1) for name in sorted(self.head_axes)}
        num_ranks = prod(on_heads.values())
        for num_heads in self.num_heads:
            if num_heads % num_ranks:
                names = " and ".join(name + _SIZE for name, size in on_heads.items() if size > 1)
                raise ValueError(f"{names}: {num_ranks} ranks cannot share {num_heads} heads")


def require_layout(plan: ParallelPlan, config: ParallelConfig, *, weights_mode: str) -> None:
    """Check that a denoiser, held so, can be laid out so.

    Raises:
        ValueError: it cannot; the setting is named.
    """
    plan.check(config)
    if config.num_ranks > 1 and weights_mode != "full":
        raise ValueError(f"weights_mode: {weights_mode}: several ranks hold weights in full")
