"""The stream of blocks goes on after what fails."""

import pytest
import torch

from telecine.engine.offload.block_stream import BlockStream

CPU = torch.device("cpu")
BEYOND_ANY_MEMORY = 2**60


def test_a_block_that_does_not_fit_leaves_the_others_within_reach() -> None:
    stream, weight = BlockStream(CPU, is_pinned=False), torch.ones(2, 2)
    stream.add(0, "it", weight, dtype=torch.float32)
    stream.add(1, "it", torch.ones(1).expand(BEYOND_ANY_MEMORY), dtype=torch.float32)
    for _ in range(2):
        assert torch.equal(stream.weight(0, "it"), weight)
        with pytest.raises(RuntimeError, match="memory"):
            stream.weight(1, "it")
