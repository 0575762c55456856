"""What is known of an exported encoder, and where it must not be loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

from telecine.inference.encoder_manifest import (
    MANIFEST_NAME,
    EncoderManifest,
    PlanPlatform,
    file_sha256,
    find_problem,
    read_manifest,
    require_checksums,
)

H100 = PlanPlatform("NVIDIA H100 80GB HBM3", "9.0", "11.1.0")
A100 = PlanPlatform("NVIDIA A100-SXM4-80GB", "8.0", "11.1.0")


@pytest.fixture
def role(tmp_path: Path) -> Path:
    """The version folder of a role whose plan is for an H100."""
    folder = tmp_path / "wan__t5_encoder" / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").write_text("")
    (folder / "model.plan").write_bytes(b"a plan")
    write(folder, manifest_of(folder))
    return folder


def manifest_of(folder: Path) -> EncoderManifest:
    plan = folder / "model.plan"
    return EncoderManifest(
        model="wan",
        role="t5_encoder",
        precision="bfloat16",
        weights_digest="sha256:0",
        onnx_sha256="0",
        files={plan.name: file_sha256(plan)},
        file_bytes={plan.name: plan.stat().st_size},
        max_abs_error=0.01,
        max_abs_value=3.0,
        compared="the same network",
        libraries={"torch": "2.13.0"},
        plan=H100,
    )


def write(folder: Path, manifest: EncoderManifest) -> None:
    (folder / MANIFEST_NAME).write_text(manifest.to_json())


def test_a_manifest_is_read_as_it_was_written(role: Path) -> None:
    assert read_manifest(role / MANIFEST_NAME) == manifest_of(role)


def test_a_plan_is_loaded_on_the_gpu_it_was_built_for(role: Path) -> None:
    assert find_problem(role.parents[1], "wan", [H100, H100]) == ""


@pytest.mark.parametrize(
    ("platforms", "words"),
    [
        ([A100], "here is NVIDIA A100"),
        ([H100, A100], "here is NVIDIA A100"),
        ([replace(H100, tensorrt="10.9.0")], "TensorRT 10.9.0"),
        ([], "there is no GPU here"),
    ],
)
def test_a_plan_is_refused_anywhere_else(
    role: Path, platforms: list[PlanPlatform], words: str
) -> None:
    problem = find_problem(role.parents[1], "wan", platforms)
    assert words in problem
    assert "built for NVIDIA H100" in problem


def test_a_plan_without_a_manifest_is_refused(role: Path) -> None:
    (role / MANIFEST_NAME).unlink()
    assert "nothing says which GPU" in find_problem(role.parents[1], "wan", [H100])


def test_an_onnx_file_is_loaded_anywhere(role: Path) -> None:
    write(role, replace(manifest_of(role), plan=None))
    assert find_problem(role.parents[1], "wan", []) == ""


def test_other_models_are_not_looked_at(role: Path) -> None:
    assert find_problem(role.parents[1], "mochi", []) == ""


def test_a_file_that_is_cut_off_or_gone_is_named(role: Path) -> None:
    (role / "model.plan").write_bytes(b"a pl")
    assert "model.plan: has 4 bytes, not 6" in find_problem(role.parents[1], "wan", [H100])
    (role / "model.plan").unlink()
    assert "model.plan: missing" in find_problem(role.parents[1], "wan", [H100])


def test_other_bytes_are_found_when_all_is_read(role: Path) -> None:
    manifest = read_manifest(role / MANIFEST_NAME)
    require_checksums(role, manifest)
    (role / "model.plan").write_bytes(b"a plam")
    with pytest.raises(ValueError, match=r"model\.plan: not the file"):
        require_checksums(role, manifest)


@pytest.mark.parametrize("text", ["{", "[]", '{"model": "wan"}', '{"surprise": 1}'])
def test_what_is_no_manifest_is_refused_by_name(role: Path, text: str) -> None:
    (role / MANIFEST_NAME).write_text(text)
    assert MANIFEST_NAME in find_problem(role.parents[1], "wan", [H100])
