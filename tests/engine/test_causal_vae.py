"""The VAE looks into the past only, and streams without changing a bit."""

import pytest
import torch

from telecine.engine.vae.causal_vae import CausalVAE
from telecine.engine.vae.layers import FeatCache


def test_streaming_decode_equals_whole_decode_bit_for_bit(vae: CausalVAE) -> None:
    latents = torch.randn(1, 4, 7, 4, 4)
    chunks = list(vae.decode_chunks(latents))
    assert torch.equal(torch.cat(chunks, 2), vae.decode(latents))


def test_first_chunk_is_one_frame_and_later_ones_four(vae: CausalVAE) -> None:
    chunks = list(vae.decode_chunks(torch.randn(1, 4, 4, 4, 4)))
    assert [chunk.shape[2] for chunk in chunks] == [1, 4, 4, 4]


def test_encoder_makes_one_latent_frame_of_every_four_frames(vae: CausalVAE) -> None:
    mean, log_variance = vae.encoder(torch.randn(2, 3, 13, 64, 64))
    assert mean.shape == log_variance.shape == (2, 4, 4, 4, 4)


def test_no_frame_depends_on_a_later_latent(vae: CausalVAE) -> None:
    latents = torch.randn(1, 4, 5, 4, 4)
    changed = latents.clone()
    changed[:, :, 3:] += 1.0
    frames, other_frames = vae.decode(latents), vae.decode(changed)
    assert torch.equal(frames[:, :, :9], other_frames[:, :, :9])
    assert not torch.equal(frames[:, :, 9:], other_frames[:, :, 9:])


def test_no_latent_depends_on_a_later_frame(vae: CausalVAE) -> None:
    video = torch.randn(1, 3, 13, 32, 32)
    changed = video.clone()
    changed[:, :, 5:] += 1.0
    assert torch.equal(vae.encoder(video)[0][:, :, :2], vae.encoder(changed)[0][:, :, :2])


def test_two_clips_may_be_streamed_side_by_side(vae: CausalVAE) -> None:
    one, other = torch.randn(1, 4, 3, 4, 4), torch.randn(1, 4, 3, 4, 4)
    pairs = list(zip(vae.decode_chunks(one), vae.decode_chunks(other), strict=True))
    assert torch.equal(torch.cat([pair[0] for pair in pairs], 2), vae.decode(one))
    assert torch.equal(torch.cat([pair[1] for pair in pairs], 2), vae.decode(other))


def test_denormalise_undoes_normalise(vae: CausalVAE) -> None:
    latents = torch.randn(1, 4, 3, 4, 4)
    torch.testing.assert_close(vae.denormalise(vae.normalise(latents)), latents)


def test_another_process_goes_on_with_the_clip(vae: CausalVAE) -> None:
    latents = torch.randn(1, 4, 5, 4, 4)
    feat_cache = FeatCache()
    first = list(vae.decode_chunks(latents[:, :, :2], feat_cache))
    stored = FeatCache.from_bytes(feat_cache.to_bytes(), torch.device("cpu"))
    rest = list(vae.decode_chunks(latents[:, :, 2:], stored))
    assert torch.equal(torch.cat(first + rest, 2), vae.decode(latents))


def test_broken_feature_cache_is_refused() -> None:
    with pytest.raises(ValueError, match="feat_cache"):
        FeatCache.from_bytes(b"none", torch.device("cpu"))
