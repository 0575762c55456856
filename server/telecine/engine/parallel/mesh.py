"""The ranks of a group as a mesh with an axis for each kind of parallelism."""

from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from telecine.engine.parallel.layout import ParallelConfig

GUIDANCE, SEQUENCE, TENSOR = "guidance", "sequence", "tensor"
"""The mesh's axes. Neighbouring ranks share a layer: they have the most to tell each other."""


def make_mesh(config: ParallelConfig, device_type: str) -> DeviceMesh:
    """Arrange the ranks; torch.distributed must be initialised with as many in every one of them.

    Args:
        config: the layout.
        device_type: `cpu` or `cuda`.
    """
    return init_device_mesh(
        device_type,
        (
            config.guidance_parallel_size,
            config.sequence_parallel_size,
            config.tensor_parallel_size,
        ),
        mesh_dim_names=(GUIDANCE, SEQUENCE, TENSOR),
    )
