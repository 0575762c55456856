"""The tensors of one request: small ones inside the message, large ones in shared memory."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from telecine.inference.failures import translate
from telecine.inference.frame_ring import INLINE_BYTES
from telecine.inference.model_loader import QUERY_SECONDS
from telecine.inference.requests import Array
from telecine.inference.shared_region import SharedRegion


class TensorExchange:
    """The inputs and outputs of a request; an async context manager that frees its regions."""

    def __init__(self, triton: InferenceServerClient) -> None:
        self._triton = triton
        self._stack = AsyncExitStack()
        self._output_regions: dict[str, SharedRegion] = {}
        self.inputs: list[InferInput] = []
        self.outputs: list[InferRequestedOutput] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._stack.__aexit__(*exception)

    async def add_input(self, name: str, values: Array) -> None:
        """Send a tensor; an array of `object` holds byte strings."""
        tensor = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        if values.nbytes > INLINE_BYTES:
            region = await self._region(values.nbytes)
            region.bytes_at(0, values.nbytes)[:] = (
                np.ascontiguousarray(values).reshape(-1).view(np.uint8)
            )
            tensor.set_shared_memory(region.name, values.nbytes)
        else:
            tensor.set_data_from_numpy(values)
        self.inputs.append(tensor)

    async def add_output(self, name: str, *, max_bytes: int = 0) -> None:
        """Ask for a tensor of at most `max_bytes`; without that it comes in the message."""
        output = InferRequestedOutput(name)
        if max_bytes > INLINE_BYTES:
            region = await self._region(max_bytes)
            output.set_shared_memory(region.name, max_bytes)
            self._output_regions[name] = region
        self.outputs.append(output)

    def read(self, result: InferResult, name: str) -> Array | None:
        """Return one output of a response, None where it carries none of that name."""
        described = result.get_output(name)
        if described is None:
            return None
        region = self._output_regions.get(name)
        if region is None:
            values: Array = result.as_numpy(name)
            return values
        dtype = np.dtype(_NUMPY_TYPES[described.datatype])
        num_bytes = int(np.prod(described.shape, dtype=np.int64)) * dtype.itemsize
        flat = region.bytes_at(0, num_bytes).copy().view(dtype)
        return flat.reshape(tuple(described.shape))

    async def _region(self, num_bytes: int) -> SharedRegion:
        region = self._stack.enter_context(SharedRegion.create(num_bytes))
        try:
            await self._triton.register_system_shared_memory(
                region.name, f"/{region.name}", num_bytes, client_timeout=QUERY_SECONDS
            )
        except InferenceServerException as error:
            raise translate(error) from error
        self._stack.push_async_callback(self._unregister, region.name)
        return region

    async def _unregister(self, name: str) -> None:
        try:
            await self._triton.unregister_system_shared_memory(name, client_timeout=QUERY_SECONDS)
        except InferenceServerException:
            # A server that has gone has forgotten its regions with it.
            return


_NUMPY_TYPES: dict[str, type[np.generic]] = {
    "FP32": np.float32,
    "FP64": np.float64,
    "INT64": np.int64,
    "UINT8": np.uint8,
}


def scalar(value: float, dtype: type[np.generic]) -> Array:
    """Wrap a number as a tensor of shape [1]."""
    return np.array([value], dtype)


def text(values: Sequence[str], shape: tuple[int, ...]) -> Array:
    """Wrap strings as a tensor of bytes."""
    return np.array([value.encode() for value in values], np.object_).reshape(shape)
