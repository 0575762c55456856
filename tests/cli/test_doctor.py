from pathlib import Path

from typer.testing import CliRunner

from telecine.cli.app import app
from telecine.config import StorageSettings, WorkerSettings
from telecine.local.data_folder import DataFolder
from telecine.local.settings_file import to_toml


def test_doctor_names_what_it_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data-dir", str(tmp_path / "none" / "yet")])
    for subject in ("python", "numpy", "triton", "redis", "objects", "shared memory", "disk"):
        assert subject in result.stdout
    assert "toybox 1" in result.stdout
    assert "none runs here" in result.stdout


def test_doctor_names_bad_weights_and_a_store_that_is_away(
    tmp_path: Path, s3_credentials: None
) -> None:
    weights = tmp_path / "bad"
    weights.mkdir()
    sections = {
        "worker": WorkerSettings(models=("toybox", str(weights))),
        "storage": StorageSettings(url="s3://bucket/?endpoint=http://127.0.0.1:1&region=x"),
    }
    DataFolder(tmp_path).settings.write_text(to_toml(sections))
    result = CliRunner().invoke(
        app, ["doctor", "--data-dir", str(tmp_path)], env={"COLUMNS": "400"}
    )
    assert result.exit_code == 1
    (weights_row,) = [row for row in result.stdout.splitlines() if " weights " in row]
    assert "wrong" in weights_row
    assert "bad/model.json" in "".join(result.stdout.split())  # a long path takes two lines
    (objects_row,) = [row for row in result.stdout.splitlines() if " objects " in row]
    assert "wrong" in objects_row
