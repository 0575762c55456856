"""GPUs as the driver counts them."""

import torch

from telecine.backend.gpus import count_gpus


def test_gpus_are_counted_as_pytorch_counts_them() -> None:
    assert count_gpus() == torch.cuda.device_count()
