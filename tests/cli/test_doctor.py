from pathlib import Path

from typer.testing import CliRunner

from telecine.cli.app import app


def test_doctor_names_what_it_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data-dir", str(tmp_path / "none" / "yet")])
    for subject in ("python", "numpy", "triton", "redis", "shared memory", "disk"):
        assert subject in result.stdout
    assert "none runs here" in result.stdout
