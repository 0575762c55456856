"""The DiT's parts: patches, masks, prompt."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from telecine.engine.denoise import Conditioning
from telecine.engine.dit.attention import TemporalMask
from telecine.engine.dit.model import DiT, DiTAfter
from telecine.engine.dit.patch_embed import patchify, unpatchify
from telecine.engine.dit.places import even_shares
from telecine.engine.dit.rotary import rotate, temporal_angles


class _Made(TorchDispatchMode):
    """Keeps every result, so that no two of them can have lain in the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.tensors += [result] if isinstance(result, Tensor) else []
        return result


def _velocity(dit: DiT, latents: Tensor, prompt: Conditioning, **options: Any) -> Tensor:
    timesteps = torch.full((len(latents),), 0.5)
    return dit(
        latents,
        timesteps,
        prompt["prompt_embeds"],
        prompt["pooled_prompt_embeds"],
        attention_mask=prompt["attention_mask"],
        **options,
    )


@pytest.mark.parametrize("patch_size", [(1, 2, 2), (2, 2, 4), (1, 1, 1)])
def test_unpatchify_undoes_patchify(patch_size: tuple[int, int, int]) -> None:
    latents = torch.randn(2, 3, 4, 8, 8)
    tokens = patchify(latents, patch_size)
    assert torch.equal(unpatchify(tokens, patch_size, 8, 8), latents)


def test_velocity_has_the_shape_of_the_latents(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 5, 4, 8)
    assert _velocity(dit, latents, prompt).shape == latents.shape


def test_padding_tokens_of_the_prompt_change_nothing(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 3, 4, 4)
    padded = prompt["prompt_embeds"].clone()
    padded[:, 4:] = 100.0
    other = {**prompt, "prompt_embeds": padded}
    torch.testing.assert_close(_velocity(dit, latents, prompt), _velocity(dit, latents, other))


def test_causal_mask_hides_the_future(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 6, 4, 4)
    changed = latents.clone()
    changed[:, :, 4:] += 1.0
    mask = TemporalMask("causal")
    first = _velocity(dit, latents, prompt, temporal_mask=mask)
    second = _velocity(dit, changed, prompt, temporal_mask=mask)
    torch.testing.assert_close(first[:, :, :4], second[:, :, :4])
    assert not torch.allclose(first[:, :, 4:], second[:, :, 4:])


def test_full_attention_sees_the_future(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 6, 4, 4)
    changed = latents.clone()
    changed[:, :, 4:] += 1.0
    first, second = _velocity(dit, latents, prompt), _velocity(dit, changed, prompt)
    assert not torch.allclose(first[:, :, :4], second[:, :, :4])


def test_window_sees_its_neighbours_and_the_anchor() -> None:
    allowed = TemporalMask("window", window_frames=1, anchor_frames=1).allowed(
        5, torch.device("cpu")
    )
    assert allowed is not None
    assert allowed.int().tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 0, 1, 1, 1],
        [1, 0, 0, 1, 1],
    ]


def test_training_attention_equals_inference_attention(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 4, 4, 4)
    mask = TemporalMask("causal")
    trained = _velocity(dit, latents, prompt, temporal_mask=mask)
    with torch.no_grad():
        inferred = _velocity(dit, latents, prompt, temporal_mask=mask)
    torch.testing.assert_close(trained, inferred)


def test_rotation_depends_on_distance_alone() -> None:
    angles = temporal_angles(8, 16, torch.device("cpu"))
    query, key = torch.randn(16), torch.randn(16)

    def score(row: int, column: int) -> Tensor:
        return rotate(query, angles[row]) @ rotate(key, angles[column])

    torch.testing.assert_close(score(2, 1), score(6, 5))


def test_chunk_after_its_past_equals_the_whole_causal_pass(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 5, 4, 4)
    conditioning = (prompt["prompt_embeds"], prompt["pooled_prompt_embeds"])
    timesteps = torch.tensor([[0.0, 0.0, 0.0, 0.7, 0.7]])
    mask, causal = prompt["attention_mask"], TemporalMask("causal")
    whole = dit(latents, timesteps, *conditioning, attention_mask=mask, temporal_mask=causal)
    shares = even_shares(5, latents.device)
    after = dit.after(latents[:, :, :3], *conditioning, attention_mask=mask, frame_shares=shares)
    chunk = after(
        latents[:, :, 3:],
        timesteps[:, 3:],
        *conditioning,
        attention_mask=mask,
        temporal_mask=causal,
    )
    torch.testing.assert_close(chunk, whole[:, :, 3:])


def test_frame_s_place_in_the_clip_counts(dit: DiT, prompt: Conditioning) -> None:
    latents, timesteps, mask = torch.randn(1, 4, 1, 4, 4), torch.tensor([0.5]), TemporalMask("full")
    early, late = (
        DiTAfter(dit, None, torch.tensor([share]))(latents, timesteps, **prompt, temporal_mask=mask)
        for share in (0.1, 0.9)
    )
    assert not torch.allclose(early, late)


@pytest.mark.parametrize("num_frames", [1, 5, 16, 17, 40, 53])
@pytest.mark.parametrize(("window_frames", "anchor_frames"), [(8, 1), (3, 2), (20, 1), (1, 0)])
def test_window_attention_span_by_span_equals_the_dense_mask(
    dit: DiT, prompt: Conditioning, num_frames: int, window_frames: int, anchor_frames: int
) -> None:
    generator = torch.Generator().manual_seed(num_frames)
    latents = torch.randn(2, 4, num_frames, 4, 4, generator=generator)
    both = {name: value.expand(2, *value.shape[1:]) for name, value in prompt.items()}
    mask = TemporalMask("window", window_frames, anchor_frames)
    dense = _velocity(dit, latents, both, temporal_mask=mask)  # with gradients it takes the mask
    with torch.no_grad():
        by_span = _velocity(dit, latents, both, temporal_mask=mask)
    torch.testing.assert_close(by_span, dense, rtol=1e-4, atol=1e-5)


def test_window_attention_gives_the_same_bits_each_time(dit: DiT, prompt: Conditioning) -> None:
    latents = torch.randn(1, 4, 40, 4, 4)
    with torch.no_grad():
        first, second = (
            _velocity(dit, latents, prompt, temporal_mask=TemporalMask("window")) for _ in range(2)
        )
    assert torch.equal(first, second)


def test_window_attention_keeps_one_set_of_a_long_video_s_tokens(
    dit: DiT, prompt: Conditioning
) -> None:
    latents = torch.randn(1, 4, 640, 8, 8)
    with torch.no_grad(), _Made() as made:
        _velocity(dit, latents, prompt, temporal_mask=TemporalMask("window"))
    tokens_bytes = 640 * 4 * 4 * dit.config.width * latents.element_size()
    storages = [each.untyped_storage() for each in made.tensors]
    large = {each.data_ptr() for each in storages if each.nbytes() >= tokens_bytes}
    assert len(large) == 1
