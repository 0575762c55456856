"""In which type a text encoder computes where bfloat16 is quick."""

import torch
from torch import Tensor, nn

LARGE_PARAMETERS = 1_000_000_000
"""T5-XXL's encoder has 4.7 billion; in float16 its activations overflow."""


def encoder_precision(
    encoder: nn.Module, *, bfloat16_parameters: int = LARGE_PARAMETERS
) -> torch.dtype:
    """Return bfloat16 for encoders of so many parameters or more, else float32."""
    num_parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return torch.bfloat16 if num_parameters >= bfloat16_parameters else torch.float32


class EncoderInPrecision(nn.Module):
    """An encoder, changed in place to another type; its outputs are float32 all the same."""

    def __init__(self, encoder: nn.Module, precision: torch.dtype) -> None:
        super().__init__()
        self.encoder = encoder.to(precision)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and outputs as the encoder has them."""
        outputs = self.encoder(*inputs)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        return tuple(output.float() for output in outputs)
