"""The exported encoders, for batches of any size."""

from pathlib import Path

import numpy as np
import pytest
import torch

from telecine.backend.onnx_model import OnnxModel
from telecine.engine.families import load_family

PROMPTS = ("a red circle moving left", "", "a blue star growing on a black background")


@pytest.mark.parametrize("num_prompts", [1, 3])
@pytest.mark.parametrize("role", ["t5_encoder", "clip_encoder"])
def test_exported_encoder_equals_the_engines(
    triton_repository: Path, random_weights: Path, role: str, num_prompts: int
) -> None:
    family = load_family(str(random_weights))
    tokens = [family.load_tokenizer().encode(prompt) for prompt in PROMPTS[:num_prompts]]
    input_ids = torch.from_numpy(np.concatenate([each.input_ids for each in tokens]))
    attention_mask = torch.from_numpy(np.concatenate([each.attention_mask for each in tokens]))
    encoder = family.load_encoder(role)
    with torch.inference_mode():
        expected = encoder(input_ids, attention_mask)

    exported = OnnxModel(triton_repository / f"toybox__{role}" / "1" / "model.onnx", num_threads=1)
    (found,) = exported.run(
        {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
    ).values()

    # Real tokens only: what padding becomes is masked wherever it is read.
    real = attention_mask.bool() if role == "t5_encoder" else slice(None)
    np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


@pytest.mark.parametrize("num_prompts", [1, 3])
def test_exported_projection_equals_the_engines(
    triton_repository: Path, random_weights: Path, num_prompts: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden_states = torch.randn(num_prompts, 32, 128, generator=generator)
    pooled = torch.randn(num_prompts, 128, generator=generator)
    with torch.inference_mode():
        expected = load_family(str(random_weights)).load_encoder("text_projection")(
            hidden_states, pooled
        )

    path = triton_repository / "toybox__text_projection" / "1" / "model.onnx"
    found = OnnxModel(path, num_threads=1).run(
        {"t5_hidden_states": hidden_states.numpy(), "clip_pooled": pooled.numpy()}
    )

    for name, values in zip(("prompt_embeds", "pooled_prompt_embeds"), expected, strict=True):
        np.testing.assert_allclose(found[name], values, atol=1e-5)
