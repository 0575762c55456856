"""`telecine media` against a real gateway."""

import json
from pathlib import Path

from gateway_process import GatewayProcess
from typer.testing import CliRunner, Result

from telecine.cli.app import app


def run(gateway: GatewayProcess, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["media", *arguments, "--server", gateway.address])


def test_an_upload_is_sent_listed_and_removed(gateway: GatewayProcess, tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1234))
    name = run(gateway, "upload", str(path)).stdout.strip()
    assert name.startswith("media/")
    assert name in run(gateway, "list").stdout
    listed = json.loads(run(gateway, "list", "--json").stdout)
    assert (listed["name"], listed["content_type"]) == (name, "image/png")
    assert listed["size_bytes"] == str(path.stat().st_size)
    assert run(gateway, "delete", name).stdout == f"{name} deleted\n"
    assert run(gateway, "list").stdout == ""


def test_a_file_whose_name_tells_no_type_is_refused(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    path = tmp_path / "still"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1234))
    refused = run(gateway, "upload", str(path))
    assert refused.exit_code == 2
    assert "--type" in refused.stderr
    assert run(gateway, "upload", str(path), "--type", "image/png").stdout.startswith("media/")
