"""Gemma 3, and all its layers narrowed to one feature a token."""

import torch
from torch import Tensor, nn

from telecine.engine.ltx2.connectors import TextFeatures


class GemmaEncoder(nn.Module):
    """A prompt's tokens to the features that both connectors start from."""

    def __init__(self, gemma: nn.Module, features: TextFeatures) -> None:
        super().__init__()
        self.gemma = gemma
        self.features = features

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L] int64 each -> video and audio_text_features [B, L, D], float32."""
        output = self.gemma(
            input_ids=input_ids,
            attention_mask=attention_mask,
            output_hidden_states=True,
            use_cache=False,
        )
        hidden_states = torch.stack(output.hidden_states, -1)
        video, audio = self.features(hidden_states, attention_mask)
        return video.float(), audio.float()
