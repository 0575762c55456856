"""The time of a network's matrix products and attentions alone: what its speed is held to."""

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_ONEDNN_LINEAR = torch.ops.mkldnn._linear_pointwise.default
_LINEAR = {_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _ONEDNN_LINEAR}
_ATTENTION = {
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_fused_attention_overrideable.default,
    _aten._scaled_dot_product_attention_math.default,
}
_REPEATS = 7


class Call(NamedTuple):
    """An operation with the shapes of its tensors."""

    operation: Any
    shapes: tuple[tuple[int, ...], ...]

    @property
    def flops(self) -> int:
        """Two for each multiplication with its addition."""
        if self.operation in _ATTENTION:
            query, key, value = self.shapes[:3]
            return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
        if self.operation is _ONEDNN_LINEAR:
            values, weight = self.shapes[:2]
            return 2 * math.prod(values) * weight[0]
        left, right = self.shapes[-2:]
        return 2 * math.prod(left) * right[-1]

    def seconds(self) -> float:
        """CPU seconds of the operation alone, on random numbers."""
        arguments: list[Any] = [torch.randn(shape) for shape in self.shapes]
        if self.operation is _ONEDNN_LINEAR:
            arguments = [*[*arguments, None][:3], "none", [], ""]  # no bias, nothing fused
        self.operation(*arguments)
        return statistics.median(_timed(self.operation, arguments) for _ in range(_REPEATS))


class Ceiling(NamedTuple):
    """What one call of a network needs at least, as perf.md's mixed ceiling has it.

    Attributes:
        linear_flops: of matrix products.
        attention_flops: of attention: both products.
        linear_seconds: CPU seconds that the same products take alone, at their own shapes.
        attention_seconds: the same of attention.
    """

    linear_flops: int
    attention_flops: int
    linear_seconds: float
    attention_seconds: float

    @property
    def seconds(self) -> float:
        """F_lin / R_gemm + F_att / R_att, each rate measured at the network's own shapes."""
        return self.linear_seconds + self.attention_seconds


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _LINEAR or func in _ATTENTION:
            shapes = tuple(tuple(each.shape) for each in args if isinstance(each, Tensor))
            self.calls[Call(func, shapes)] += 1
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def ceiling_of(run: Callable[[], object]) -> Ceiling:
    """Runs a network once to see its products, then times each of them alone."""
    with _Recorder() as recorder:
        run()
    linear = {k: n for k, n in recorder.calls.items() if k.operation in _LINEAR}
    attention = {k: n for k, n in recorder.calls.items() if k.operation in _ATTENTION}
    return Ceiling(
        linear_flops=sum(call.flops * count for call, count in linear.items()),
        attention_flops=sum(call.flops * count for call, count in attention.items()),
        linear_seconds=sum(call.seconds() * count for call, count in linear.items()),
        attention_seconds=sum(call.seconds() * count for call, count in attention.items()),
    )


def _timed(operation: Callable[..., object], arguments: list[Any]) -> float:
    start = time.process_time()
    operation(*arguments)
    return time.process_time() - start
