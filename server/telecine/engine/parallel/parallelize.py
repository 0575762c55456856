"""Puts a denoiser in its place among the ranks of a group, block by block as it is loaded."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.denoise import Denoiser
from telecine.engine.parallel.guidance import GuidanceParallelDenoiser
from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.parallel.mesh import GUIDANCE, SEQUENCE, TENSOR

# By family: the module of its `split_block` and `split_sequence` and, where there is more to split,
# `split_besides` of what tensors a network has beside its blocks' and `split_guidance`.
_SPLITS = {"toybox": "dit", "ltx2": "ltx2", "mochi": "mochi", "wan": "wan"}


class RankPart:
    """What one rank makes of a family's denoiser.

    Every rank does the same to the same weights, and from then on does the same as all others
    with the same inputs. The family's `parallel_plan` has been asked whether this can be.
    """

    def __init__(self, family: str, config: ParallelConfig, mesh: DeviceMesh) -> None:
        self._splits: Any = import_module(f"{__package__}.{_SPLITS[family]}")
        self._config = config
        self._mesh = mesh

    @property
    def after_block(self) -> Callable[[nn.Module], None] | None:
        """What is to be done with each block once it is loaded, so that no rank holds them all."""
        if self._config.tensor_parallel_size == 1:
            return None
        return lambda block: self._splits.split_block(block, self._mesh[TENSOR])

    def of(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser as this rank's part of the group; `after_block` has had its blocks."""
        config, mesh, splits = self._config, self._mesh, self._splits
        if config.sequence_parallel_size > 1:
            splits.split_sequence(denoiser, mesh[SEQUENCE])
        if config.tensor_parallel_size > 1 and hasattr(splits, "split_besides"):
            splits.split_besides(denoiser, mesh[TENSOR])
        if config.guidance_parallel_size > 1:
            group = mesh.get_group(GUIDANCE)
            if not hasattr(splits, "split_guidance"):
                return GuidanceParallelDenoiser(denoiser, group)
            splits.split_guidance(denoiser, group)
        return denoiser
