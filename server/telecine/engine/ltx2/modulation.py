"""What the noise level tells every block: scales, shifts and gates for both modalities."""

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class Modulation:
    """Parameters [S, k, D] for S noise levels; `audio_` ones have the sound's width.

    Attributes:
        block: shift, scale, gate of the self-attention and of the feed-forward layer, then,
            in folders with `cross_attn_mod`, of the attention to the text.
        cross: scale, shift where the sound is read, scale, shift where it reads the picture.
        cross_gate: one gate of what a modality has read of the other.
        output: the embedded noise level itself.
        text: shift, scale of the text before its keys and values; 0 where the noise level
            changes nothing there.
    """

    block: Tensor
    audio_block: Tensor
    cross: Tensor
    audio_cross: Tensor
    cross_gate: Tensor
    audio_cross_gate: Tensor
    output: Tensor
    audio_output: Tensor
    text: Tensor | float = 0.0
    audio_text: Tensor | float = 0.0

    def at(self, index: int) -> "Modulation":
        """Those of one noise level, S = 1."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Modulation(
            **{
                name: value[index : index + 1] if isinstance(value, Tensor) else value
                for name, value in values.items()
            }
        )


def shares(table: Tensor, parameters: Tensor | float) -> tuple[Tensor, ...]:
    """A block's own `table` [k, D] added to parameters [1, k, D] -> k tensors [1, D]."""
    return (table[None] + parameters).unbind(1)
