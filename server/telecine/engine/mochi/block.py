"""One block: joint attention and two gated MLPs, each side modulated by the timestep."""

from functools import partial
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.channel_norm import scaled_norm
from telecine.engine.linear import Linear
from telecine.engine.mochi.attention import JointAttention, TextLengths, TokenPair

_scaled_norm = partial(scaled_norm, eps=1e-6)


class BlockContext(NamedTuple):
    """What every block of one forward pass shares."""

    temb: Tensor
    """[B, D], the activation applied."""
    rotary_emb: Tensor
    """Complex [N, heads, head_dim/2]."""
    lengths: TextLengths


class GatedMLP(nn.Module):
    """SwiGLU (Shazeer 2020); module names are the weights' own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Two thirds of the usual four times, since it has three matrices instead of two.
        inner = 4 * width * 2 // 3
        self.net = nn.ModuleList(
            [_Projected(width, 2 * inner), nn.Identity(), Linear(inner, width, bias=False)]
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        values, gate = self.net[0](tokens).chunk(2, -1)
        return self.net[2](values * functional.silu(gate, inplace=True))


class _Projected(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = Linear(width, inner, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.proj(tokens)


class _Modulation(nn.Module):
    """Scale and gate of the attention, then of the MLP; all [B, 1, D]."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.linear = Linear(width, 4 * out_width)

    def forward(self, temb: Tensor) -> tuple[Tensor, ...]:
        scale, gate, mlp_scale, mlp_gate = self.linear(temb)[:, None].chunk(4, -1)
        return scale, gate.tanh(), mlp_scale, mlp_gate.tanh()


class _Scale(nn.Module):
    """The last block's text is modulated only, since nothing of it is kept."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(width, out_width)

    def forward(self, temb: Tensor) -> Tensor:
        return self.linear_1(temb)[:, None]


class MochiBlock(nn.Module):
    """Takes and gives video and text; the last one gives the text back as it came."""

    def __init__(
        self, width: int, text_width: int, *, num_heads: int, head_dim: int, is_last: bool
    ) -> None:
        super().__init__()
        self.norm1 = _Modulation(width, width)
        self.norm1_context = (_Scale if is_last else _Modulation)(width, text_width)
        self.attn1 = JointAttention(
            width,
            text_width,
            num_heads=num_heads,
            head_dim=head_dim,
            has_text_output=not is_last,
        )
        self.ff = GatedMLP(width)
        self.ff_context = None if is_last else GatedMLP(text_width)

    def forward(self, tokens: TokenPair, context: BlockContext) -> TokenPair:
        """[B, N, D] and [B, L, P] -> the same."""
        video, text = tokens
        scale, gate, mlp_scale, mlp_gate = self.norm1(context.temb)
        if self.ff_context is None:
            text_scale = self.norm1_context(context.temb)
        else:
            text_scale, *text_modulation = self.norm1_context(context.temb)
        normed = TokenPair(_scaled_norm(video, 1 + scale), _scaled_norm(text, 1 + text_scale))
        attended, attended_text = self.attn1(normed, context.rotary_emb, context.lengths)
        video = video + _scaled_norm(attended, gate)
        video = video + _scaled_norm(self.ff(_scaled_norm(video, 1 + mlp_scale)), mlp_gate)
        if self.ff_context is not None:
            text_gate, text_mlp_scale, text_mlp_gate = text_modulation
            text = text + _scaled_norm(attended_text, text_gate)
            changed = self.ff_context(_scaled_norm(text, 1 + text_mlp_scale))
            text = text + _scaled_norm(changed, text_mlp_gate)
        return TokenPair(video, text)
