"""NVIDIA's own parser and builder on the ONNX files that set-up exports."""

from pathlib import Path

import pytest

from telecine.backend.tensorrt_plan import build_plan, load_tensorrt_rtx

pytest.importorskip("tensorrt_rtx_bindings")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["t5_encoder", "clip_encoder", "text_projection"])
def test_tensorrt_builds_a_plan_of_the_exported_encoder(triton_repository: Path, role: str) -> None:
    path = triton_repository / f"toybox__{role}" / "1" / "model.onnx"
    plan = build_plan(load_tensorrt_rtx(), path, max_batch_size=8, compute_capability="SM86")
    assert len(plan) > path.stat().st_size


@pytest.mark.slow
def test_graph_that_tensorrt_cannot_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not an ONNX graph")
    with pytest.raises(ValueError, match=r"model\.onnx"):
        build_plan(load_tensorrt_rtx(), path, max_batch_size=8, compute_capability="SM86")
