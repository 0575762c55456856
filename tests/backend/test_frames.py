"""Pixels, previews and the pace of chunks."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from telecine.backend.frames import encode_preview, send_chunks, to_frames
from telecine.inference.frame_ring import FrameRing


class UpsamplingVAE:
    """A VAE whose frames are its latents, each pixel 512 wide."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents.repeat_interleave(512, -1).repeat_interleave(256, -2)

    def decode_chunks(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        for latent_frame in latents.split(1, dim=2):
            yield self.decode(latent_frame)


def test_pixels_span_the_whole_range_and_are_clamped() -> None:
    video = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 1, 5).expand(1, 3, 2, 1, 5)
    frames = to_frames(video)
    assert frames.shape == (2, 1, 5, 3)
    assert frames[1, 0, :, 2].tolist() == [0, 0, 128, 255, 255]


def test_preview_is_a_small_webp_of_the_middle_frame() -> None:
    denoised = torch.full((1, 3, 5, 2, 2), -1.0)
    denoised[:, 0, 2] = 1.0
    image = Image.open(io.BytesIO(encode_preview(denoised, UpsamplingVAE()).tobytes()))
    assert (image.format, image.size) == ("WEBP", (256, 128))
    red, green, _ = np.asarray(image.convert("RGB"))[64, 128]
    assert red > 200
    assert green < 60


def test_without_a_ring_all_chunks_are_inline() -> None:
    chunks = UpsamplingVAE().decode_chunks(torch.zeros(1, 3, 3, 2, 2))
    sending = send_chunks(chunks, None, lambda: False)
    assert [next(sending)["frames"].shape for _ in range(3)] == [(1, 512, 1024, 3)] * 3
    with pytest.raises(StopIteration) as ended:
        next(sending)
    assert ended.value.value == 3


def test_large_chunks_wait_for_room_in_the_ring() -> None:
    chunks = UpsamplingVAE().decode_chunks(torch.arange(4.0).view(1, 1, 4, 1, 1) / 4 - 0.5)
    with FrameRing.create(num_slots=1, slot_bytes=1 << 21) as ring:
        is_cancelled_calls = 0

        def is_cancelled() -> bool:
            nonlocal is_cancelled_calls
            is_cancelled_calls += 1
            if is_cancelled_calls > 2:
                ring.release(0)
            return False

        sent = send_chunks((chunk.expand(1, 3, 4, -1, -1) for chunk in chunks), ring, is_cancelled)
        first = next(sent)
        assert "frames" not in first
        next(sent)
        assert is_cancelled_calls == 3


def test_cancelled_request_does_not_wait_for_its_reader() -> None:
    chunks = UpsamplingVAE().decode_chunks(torch.zeros(1, 3, 3, 1, 1))
    with FrameRing.create(num_slots=1, slot_bytes=1 << 21) as ring:
        assert len(list(send_chunks(chunks, ring, lambda: True))) == 1


def test_a_chunk_larger_than_a_slot_is_sent_as_several() -> None:
    video = UpsamplingVAE().decode(torch.arange(15.0).view(1, 3, 5, 1, 1) / 15 - 0.5)
    frame_bytes = 3 * 256 * 512
    with FrameRing.create(num_slots=2, slot_bytes=3 * frame_bytes - 1) as ring:
        received = []
        sending = send_chunks([video[:, :, :4], video[:, :, 4:]], ring, lambda: True)
        for chunk_index, outputs in enumerate(sending):
            frames = outputs.get("frames")
            if frames is None:
                frames = ring.read(chunk_index, tuple(outputs["frames_shape"].tolist()))
            ring.release(chunk_index)
            received.append(frames)
        assert [len(frames) for frames in received] == [2, 2, 1]
        assert (np.concatenate(received) == to_frames(video)).all()
