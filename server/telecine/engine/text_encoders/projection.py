"""Joins the two encoders' features."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class TextProjectionConfig:
    """Widths in and out; read from text_projection/config.json of a weights folder."""

    t5_width: int = 128
    clip_width: int = 128
    prompt_width: int = 192
    pooled_width: int = 192


class TextProjection(nn.Module):
    """Brings the tokens' features and the prompt's feature to the widths of the DiT."""

    def __init__(self, config: TextProjectionConfig) -> None:
        super().__init__()
        self.prompt = nn.Linear(config.t5_width, config.prompt_width)
        self.pooled = nn.Linear(config.clip_width, config.pooled_width)

    def forward(self, t5_hidden_states: Tensor, clip_pooled: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, T], [B, C] -> prompt_embeds [B, L, P], pooled_prompt_embeds [B, Q]."""
        return self.prompt(t5_hidden_states), self.pooled(clip_pooled)
