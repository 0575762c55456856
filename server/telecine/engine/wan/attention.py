"""A block's two attentions: of the video to itself, and to the text and the first image."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.channel_norm import ChannelNorm
from telecine.engine.linear import Linear
from telecine.engine.wan.config import WanConfig
from telecine.engine.wan.rotary import rotate_


class KeysValues(NamedTuple):
    """Keys and values [B, heads, L, head_dim] each."""

    keys: Tensor
    values: Tensor


class CrossContext(NamedTuple):
    """What one block's cross attention looks at; the same in every step."""

    text: KeysValues
    text_bias: Tensor | None
    """[1, 1, 1, L] to add to the text's scores: how often a key stands for others like it."""
    image: KeysValues | None


class DotProduct(nn.Module):
    """What queries find in keys and values; a module so that ranks can exchange around it."""

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """[B, heads, N or L, head_dim] each -> [B, heads, N, head_dim]."""
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)


class _Attention(nn.Module):
    """Projections under the names that diffusers gives them."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        width = config.width
        self.head_dim = config.attention_head_dim
        self.to_q = Linear(width, width)
        self.to_k = Linear(width, width)
        self.to_v = Linear(width, width)
        self.to_out = nn.ModuleList([Linear(width, width)])
        self.norm_q = ChannelNorm(width, config.eps)
        self.norm_k = ChannelNorm(width, config.eps)
        self.attend = DotProduct()

    def split(self, hidden: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, heads, head_dim]."""
        return hidden.unflatten(-1, (-1, self.head_dim))


class SelfAttention(_Attention):
    """Every token of the video to every other."""

    def forward(self, hidden: Tensor, rotary_emb: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        queries = rotate_(self.split(self.norm_q(self.to_q(hidden))), rotary_emb)
        keys = rotate_(self.split(self.norm_k(self.to_k(hidden))), rotary_emb)
        values = self.split(self.to_v(hidden))
        attended = self.attend(
            queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
        )
        return self.to_out[0](attended.transpose(1, 2).flatten(2))


class CrossAttention(_Attention):
    """The video to the text, and to a first image where the model knows images by CLIP."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__(config)
        if config.added_kv_proj_dim is not None:
            self.add_k_proj = Linear(config.added_kv_proj_dim, config.width)
            self.add_v_proj = Linear(config.added_kv_proj_dim, config.width)
            self.norm_added_k = ChannelNorm(config.width, config.eps)

    def text_keys_values(self, text: Tensor) -> KeysValues:
        """[B, L, D] -> what every step attends to."""
        keys = self.split(self.norm_k(self.to_k(text))).transpose(1, 2)
        return KeysValues(keys, self.split(self.to_v(text)).transpose(1, 2))

    def image_keys_values(self, image: Tensor) -> KeysValues:
        """The same for the features of an image."""
        keys = self.split(self.norm_added_k(self.add_k_proj(image))).transpose(1, 2)
        return KeysValues(keys, self.split(self.add_v_proj(image)).transpose(1, 2))

    def forward(self, hidden: Tensor, context: CrossContext) -> Tensor:
        """[1 or B, N, D] -> [B, N, D], B the prompts in `context`."""
        queries = self.split(self.norm_q(self.to_q(hidden))).transpose(1, 2)
        queries = queries.expand(len(context.text.keys), -1, -1, -1)
        attended = self.attend(queries, *context.text, context.text_bias)
        if context.image is not None:
            attended = attended + self.attend(queries, *context.image)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))
