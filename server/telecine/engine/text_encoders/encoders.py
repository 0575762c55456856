"""T5 and CLIP as plain modules of tensors in, tensor out, so that they export to ONNX.

The architectures are transformers' own (docs/decisions), at the sizes that the
weights folder's config.json gives.
"""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, T5EncoderModel

# Only eager attention exports to ONNX with a dynamic batch; the weights travel as bfloat16.
_OPTIONS: dict[str, Any] = {
    "local_files_only": True,
    "use_safetensors": True,
    "attn_implementation": "eager",
    "dtype": torch.float32,
}


class T5Encoder(nn.Module):
    """A feature for each token."""

    def __init__(self, model: T5EncoderModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read config.json and model.safetensors, in float32."""
        return cls(T5EncoderModel.from_pretrained(folder, **_OPTIONS)).eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, L] int64 each -> t5_hidden_states [B, L, D]."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state
        return hidden


class CLIPTextEncoder(nn.Module):
    """One feature for the whole prompt."""

    def __init__(self, model: CLIPTextModelWithProjection) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read config.json and model.safetensors, in float32."""
        return cls(CLIPTextModelWithProjection.from_pretrained(folder, **_OPTIONS)).eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, L] int64 each -> clip_pooled [B, D]."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        pooled: Tensor = output.text_embeds
        return pooled
