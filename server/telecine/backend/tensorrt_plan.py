"""ONNX files to TensorRT plans, by NVIDIA's parser and builder.

TensorRT for RTX, whose wheels are on PyPI and build without a GPU, has the same interface
and proves in tests what TensorRT itself will be given on a GPU.
"""

import importlib
from pathlib import Path
from typing import Any


def load_tensorrt() -> Any:
    """Import TensorRT, which builds for the GPU that it finds.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return importlib.import_module("tensorrt")


def load_tensorrt_rtx() -> Any:
    """Import TensorRT for RTX, which builds for a GPU that need not be there; as above."""
    return importlib.import_module("tensorrt_rtx_bindings.tensorrt_rtx")


def build_plan(
    tensorrt: Any, onnx_path: Path, *, max_batch_size: int, compute_capability: str = ""
) -> bytes:
    """Build a plan for batches up to `max_batch_size`.

    Args:
        tensorrt: the library, from one of the functions above.
        onnx_path: a graph whose first dimension is the batch.
        max_batch_size: the largest batch the plan takes.
        compute_capability: such as `SM86`; empty for the GPU at hand.

    Raises:
        ValueError: the parser or the builder refuses the graph; the message says why.
    """
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    flags = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_path)):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ValueError(f"{onnx_path}: {errors}")
    config = builder.create_builder_config()
    if compute_capability:
        config.num_compute_capabilities = 1
        capability = getattr(tensorrt.ComputeCapability, compute_capability)
        config.set_compute_capability(capability, 0)
    config.add_optimization_profile(_batch_profile(builder, network, max_batch_size))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError(f"{onnx_path}: TensorRT built no plan of it")
    return bytes(plan)


def _batch_profile(builder: Any, network: Any, max_batch_size: int) -> Any:
    """Let the first dimension of every input run from 1, the usual case, to the largest batch."""
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        rest = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, (1, *rest), (1, *rest), (max_batch_size, *rest))
    return profile
