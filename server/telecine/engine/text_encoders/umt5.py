"""UMT5 as a module of tensors in, tensor out, so that it exports to ONNX."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from transformers import UMT5EncoderModel


class UMT5Encoder(nn.Module):
    """A feature for each token; zeros behind the prompt's end."""

    def __init__(self, model: UMT5EncoderModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read config.json and the safetensors, in float32."""
        # Only eager attention exports to ONNX with a dynamic batch.
        model = UMT5EncoderModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="eager",
            dtype=torch.float32,
        )
        return cls(model).eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, L] int64 each -> prompt_embeds [B, L, D]."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden * attention_mask[..., None].to(hidden.dtype)
