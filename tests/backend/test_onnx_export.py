"""Encoders of open weights as ONNX files: near PyTorch, and built by NVIDIA's own builder."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_mochi
import tiny_wan

from telecine.backend.onnx_export import ExportedEncoder, ExportOptions, export_encoders
from telecine.backend.tensorrt_plan import build_plan, load_tensorrt_rtx
from telecine.engine.families import load_family

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
Write = Callable[[Path], object]
WAN, MOCHI = tiny_wan.write_wan, tiny_mochi.write_tiny_mochi


def export(write: Write, folder: Path, options: ExportOptions) -> ExportedEncoder:
    write(folder / "weights")
    family = load_family(str(folder / "weights"))
    exported, _ = export_encoders(family, {"t5_encoder": folder / "model.onnx"}, options)
    return exported["t5_encoder"]


def plan_of(encoder: ExportedEncoder) -> bytes:
    pytest.importorskip("tensorrt_rtx_bindings")
    return build_plan(
        load_tensorrt_rtx(), encoder.path, max_batch_size=8, compute_capability="SM86"
    )


@pytest.mark.parametrize("write", [WAN, MOCHI], ids=["wan", "mochi"])
def test_exported_encoder_gives_what_pytorch_gives_and_tensorrt_builds_it(
    tmp_path: Path, write: Write
) -> None:
    encoder = export(write, tmp_path, ExportOptions())
    assert encoder.precision == "float32"
    assert encoder.max_abs_error < 1e-5 * encoder.max_abs_value
    assert len(plan_of(encoder)) > 10_000


def test_weights_in_a_file_of_their_own_are_found_by_both(tmp_path: Path) -> None:
    encoder = export(MOCHI, tmp_path, ExportOptions(max_embedded_bytes=0))
    assert (tmp_path / "model.onnx.data").is_file()
    assert encoder.max_abs_error < 1e-5 * encoder.max_abs_value
    assert len(plan_of(encoder)) > 10_000


def test_large_encoder_is_exported_in_bfloat16_which_tensorrt_builds(tmp_path: Path) -> None:
    encoder = export(WAN, tmp_path, ExportOptions(bfloat16_parameters=0))
    assert encoder.precision == "bfloat16"
    assert len(plan_of(encoder)) > 10_000
