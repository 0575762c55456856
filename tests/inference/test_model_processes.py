"""What the models' processes of a real Triton server have loaded."""

from pathlib import Path

import numpy as np
from model_processes import model_processes

from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer

WITH_PYTORCH = {"dit_sampler", "vae_decoder", "image_encoder"}
WITHOUT_PYTORCH = {
    "tokenizer",
    "t5_encoder",
    "clip_encoder",
    "text_projection",
    "image_preprocess",
}


def has_mapped(process_id: int, library: str) -> bool:
    return f"/{library}" in Path(f"/proc/{process_id}/maps").read_text()


async def test_only_roles_that_compute_with_pytorch_load_it(
    triton_server: TritonServer, triton_client: TritonClient
) -> None:
    # What a role needs may be imported as late as at its first request.
    await triton_client.encode_prompt("toybox", "a red circle")
    picture = np.zeros((1, 40, 40, 3), np.uint8)
    await triton_client.encode_images("toybox", picture, size=(64, 64), num_frames=9)

    processes = model_processes(triton_server)

    assert set(processes) == WITH_PYTORCH | WITHOUT_PYTORCH
    assert {role for role in processes if has_mapped(processes[role], "libtorch")} == WITH_PYTORCH
