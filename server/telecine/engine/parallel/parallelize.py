"""Puts a loaded denoiser in its place among the ranks of a group."""

from importlib import import_module

from torch.distributed.device_mesh import DeviceMesh

from telecine.engine.denoise import Denoiser
from telecine.engine.parallel.guidance import GuidanceParallelDenoiser
from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.parallel.mesh import GUIDANCE, SEQUENCE, TENSOR

# By the denoiser's class: the module of its `split_tensors` and `split_sequence` and, where its
# guidance compares more than two answers, its `split_guidance`.
_SPLITS = {
    "DiTDenoiser": "dit",
    "LTX2Denoiser": "ltx2",
    "MochiDenoiser": "mochi",
    "WanDenoiser": "wan",
}


def parallelize(denoiser: Denoiser, config: ParallelConfig, mesh: DeviceMesh) -> Denoiser:
    """Return the denoiser as this rank's part of the group.

    Every rank calls it with the same weights, and from then on does the same as all others
    with the same inputs. The family's `parallel_plan` has been asked whether this can be.
    """
    splits = import_module(f"{__package__}.{_SPLITS[type(denoiser).__name__]}")
    if config.sequence_parallel_size > 1:
        splits.split_sequence(denoiser, mesh[SEQUENCE])
    if config.tensor_parallel_size > 1:
        splits.split_tensors(denoiser, mesh[TENSOR])
    if config.guidance_parallel_size > 1:
        group = mesh.get_group(GUIDANCE)
        if not hasattr(splits, "split_guidance"):
            return GuidanceParallelDenoiser(denoiser, group)
        splits.split_guidance(denoiser, group)
    return denoiser
