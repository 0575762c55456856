"""Window attention span by span: cost grows with a video's length, peak memory hardly does.

A block goes through the video once, a span of frames at a time, and writes its result over
its input. All but the attention in time concerns one frame alone; that one needs keys and
values of the frames at most a window away, which wait for it here, and of the anchor frames.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from telecine.engine.dit.adaln import gated, modulate
from telecine.engine.dit.attention import KeyValue, TemporalMask
from telecine.engine.dit.block import BlockContext, DiTBlock, Triple, triples

SPAN_FRAMES = 16
"""Latent frames a span: fewer cost more calls, more cost memory."""


@dataclass(frozen=True)
class _Span:
    """Frames `start` to `end` - 1 behind their spatial attention: [B*S, heads, T, head_dim]."""

    start: int
    end: int
    query: Tensor
    key: Tensor
    value: Tensor
    temporal: Triple
    mlp: Triple


def run_in_spans(
    block: DiTBlock, tokens: Tensor, context: BlockContext, mask: TemporalMask
) -> None:
    """Do in place to tokens [B, T, S, D] what `block` does under a window mask.

    The result is that of the dense mask, to the rounding of float32.
    """
    prompt = block.cross_attention.read(context.prompt_embeds)
    projected = _project(block, tokens, context, max(SPAN_FRAMES, mask.anchor_frames))
    behind: deque[_Span] = deque()
    ahead = deque([next(projected)])
    anchor = _slice_of([ahead[0]], 0, min(mask.anchor_frames, ahead[0].end))
    while ahead:
        span = ahead[0]
        while ahead[-1].end < span.end + mask.window_frames and (later := next(projected, None)):
            ahead.append(later)
        while behind and behind[0].end <= span.start - mask.window_frames:
            behind.popleft()
        attended = _attend_in_time(block, span, [*behind, *ahead], anchor=anchor, mask=mask)
        _finish(block, tokens, span, attended, prompt=prompt, context=context)
        behind.append(ahead.popleft())
        if not ahead and (later := next(projected, None)):
            ahead.append(later)


def _project(
    block: DiTBlock, tokens: Tensor, context: BlockContext, span_frames: int
) -> Iterator[_Span]:
    """Spatial attention of a span, in place, and what its attention in time needs."""
    num_frames = tokens.shape[1]
    for start in range(0, num_frames, span_frames):
        end = min(start + span_frames, num_frames)
        frames = tokens[:, start:end]
        spatial, temporal, mlp = triples(block.modulation(context.temb[:, start:end]))
        attended = block.spatial_attention(
            modulate(frames, *spatial[:2]), context.spatial_rotary_emb
        )
        frames += gated(attended, spatial[2])
        by_place = modulate(frames, *temporal[:2]).transpose(1, 2).flatten(0, 1)
        heads = block.temporal_attention.project(by_place, context.temporal_rotary_emb[start:end])
        yield _Span(start, end, *heads, temporal, mlp)


def _attend_in_time(
    block: DiTBlock, span: _Span, seen: list[_Span], *, anchor: KeyValue, mask: TemporalMask
) -> Tensor:
    """[B*S, T of the span, D]; `seen` are the spans with the frames that it may look at."""
    num_anchors, device = anchor[0].shape[2], anchor[0].device
    first = max(num_anchors, span.start - mask.window_frames)
    last = max(first, min(seen[-1].end, span.end + mask.window_frames))
    near = _slice_of(seen, first, last)
    key, value = (torch.cat(pair, 2) for pair in zip(anchor, near, strict=True))
    columns = torch.cat(
        (torch.arange(num_anchors, device=device), torch.arange(first, last, device=device))
    )
    rows = torch.arange(span.start, span.end, device=device)
    allowed = mask.allows(rows, columns)
    return block.temporal_attention.mix(span.query, key, value, allowed)


def _finish(
    block: DiTBlock,
    tokens: Tensor,
    span: _Span,
    attended: Tensor,
    *,
    prompt: KeyValue,
    context: BlockContext,
) -> None:
    """The rest of the block on a span, in place."""
    frames = tokens[:, span.start : span.end]
    by_frame = attended.unflatten(0, (len(tokens), -1)).transpose(1, 2)
    frames += gated(by_frame, span.temporal[2])
    looked = block.cross_attention.look(
        block.cross_norm(frames).flatten(1, 2), prompt, context.attention_mask
    )
    frames += looked.view_as(frames)
    frames += gated(block.mlp(modulate(frames, *span.mlp[:2])), span.mlp[2])


def _slice_of(spans: list[_Span], first: int, last: int) -> KeyValue:
    """Keys and values of the frames `first` to `last` - 1, which lie in neighbouring spans."""
    offset = spans[0].start
    key, value = (
        torch.cat([getattr(span, name) for span in spans], 2)[:, :, first - offset : last - offset]
        for name in ("key", "value")
    )
    return key, value
