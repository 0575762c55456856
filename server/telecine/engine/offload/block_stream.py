"""Blocks that wait in the host's memory, or in their files, and come to the device in turn.

A network runs its blocks in the same order in every pass, so while one computes, the next
one's matrices are on their way: the device holds two blocks, whatever the network's depth.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor, nn

from telecine.engine.linear import linear


class _Waiting(NamedTuple):
    weight: Tensor
    dtype: torch.dtype


class _Arrived(NamedTuple):
    weights: dict[str, Tensor]
    event: torch.cuda.Event | None
    """On a GPU: passed when the copies are done."""


class BlockStream:
    """The matrices of a network's blocks, of which at most two are on the device.

    Args:
        device: where the network runs.
        is_pinned: for a GPU, keep the blocks in page-locked memory instead of their files;
            copies are faster, and do not wait for a disk.
    """

    def __init__(self, device: torch.device, *, is_pinned: bool) -> None:
        self._device = device
        self._is_pinned = is_pinned and device.type == "cuda"
        self._blocks: dict[int, dict[str, _Waiting]] = {}
        self._current = -1
        self._weights: dict[str, Tensor] = {}
        self._next: tuple[int, Future[_Arrived]] | None = None
        self._mover = ThreadPoolExecutor(1, thread_name_prefix="block-stream")
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None

    def add(self, block: int, name: str, weight: Tensor, *, dtype: torch.dtype) -> None:
        """Register a matrix, mapped from its file, that comes to the device as `dtype`."""
        if self._is_pinned:
            weight = weight.to(dtype).pin_memory()
        self._blocks.setdefault(block, {})[name] = _Waiting(weight, dtype)

    def shape(self, block: int, name: str) -> torch.Size:
        """A matrix's size."""
        return self._blocks[block][name].weight.shape

    def weight(self, block: int, name: str) -> Tensor:
        """A matrix on the device, until another block's is asked for."""
        if block != self._current:
            self._turn_to(block)
        return self._weights[name]

    def _turn_to(self, block: int) -> None:
        # First, so that the device never holds three.
        self._current, self._weights = -1, {}
        arrived = self._await(block)
        if arrived.event is not None:
            torch.cuda.current_stream(self._device).wait_event(arrived.event)
            for weight in arrived.weights.values():
                weight.record_stream(torch.cuda.current_stream(self._device))
        following = (block + 1) % len(self._blocks)
        if following != block:
            done = self._note_place()
            self._next = following, self._mover.submit(self._bring, following, done)
        self._current, self._weights = block, arrived.weights

    def _note_place(self) -> torch.cuda.Event | None:
        """On a GPU: what is passed once the blocks before have been computed with."""
        if self._side is None:
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _await(self, block: int) -> _Arrived:
        expected, self._next = self._next, None
        if expected is not None and expected[0] == block:
            return expected[1].result()
        # A pass that was cut short: what was on its way is not what is needed.
        return self._mover.submit(self._bring, block).result()

    @torch.no_grad()
    def _bring(self, block: int, after: torch.cuda.Event | None = None) -> _Arrived:
        if after is not None:
            # The host runs ahead of the device, which would hold all blocks that it has asked for.
            after.synchronize()
        waiting = self._blocks[block]
        if self._side is None:
            copies = {name: each.weight.to(each.dtype, copy=True) for name, each in waiting.items()}
            return _Arrived(copies, None)
        with torch.cuda.stream(self._side):
            copies = {
                name: each.weight.to(self._device, each.dtype, non_blocking=True)
                for name, each in waiting.items()
            }
            event = torch.cuda.Event()
            event.record(self._side)
        return _Arrived(copies, event)


class StreamedLinear(nn.Module):
    """A linear layer whose matrix comes from a `BlockStream`."""

    def __init__(self, stream: BlockStream, block: int, *, name: str, bias: Tensor | None) -> None:
        super().__init__()
        self._stream = stream
        self._block = block
        self._name = name
        self.out_features, self.in_features = stream.shape(block, name)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return linear(values, self._stream.weight(self._block, self._name), self.bias)
