"""`telecine keys` against a gateway that asks for one, as `telecine up` starts it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_process import GatewayProcess, running_gateway
from typer.testing import CliRunner, Result

from telecine.auth_settings import AuthSettings
from telecine.cli.app import app
from telecine.client import PermissionDeniedError, UnauthenticatedError
from telecine.local.data_folder import DataFolder
from telecine.local.operator_key import keep_local_key

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def keyed(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    data_dir: Path = tmp_path_factory.mktemp("data")
    keep_local_key(DataFolder(data_dir).api_key, redis_server)
    with running_gateway(redis_server, data_dir, auth=AuthSettings(is_required=True)) as running:
        yield running


@pytest.fixture
def run(keyed: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("TELECINE_API_KEY", raising=False)

    def invoke(*arguments: str, options: tuple[str, ...] = ()) -> Result:
        command = [*options, *arguments, "--data-dir", str(keyed.data_dir)]
        return CliRunner().invoke(app, command)

    return invoke


def test_the_data_folder_s_key_is_used_by_itself(run: Run) -> None:
    assert run("list").exit_code == 0
    assert run("workers", "--once").exit_code == 0


def test_a_key_is_made_listed_used_and_revoked(run: Run) -> None:
    made = run("keys", "create", "--name", "robot", "--scope", "videos:read", "--days", "2")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert secret.startswith("tc_")
    listed = run("keys", "list")
    name = f"apiKeys/{secret.split('_')[1]}"
    assert all(word in listed.stdout for word in (name, "robot", "default", "never"))
    assert secret not in listed.stdout

    with_key = ("--api-key", secret)
    assert run("list", options=with_key).exit_code == 0
    refused = run("workers", "--once", options=with_key)
    assert isinstance(refused.exception, PermissionDeniedError)

    assert run("keys", "revoke", name).stdout == f"{name} revoked\n"
    assert isinstance(run("list", options=with_key).exception, UnauthenticatedError)
    assert name not in run("keys", "list").stdout


def test_the_environment_names_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the end of its line, as files have it.
    monkeypatch.setenv("TELECINE_API_KEY", run("keys", "create").stdout)
    assert run("list").exit_code == 0
    assert isinstance(run("keys", "list").exception, PermissionDeniedError)


def test_json_shows_everything(run: Run, documents: Callable[[Result], list[Any]]) -> None:
    arguments = ("--tier", "batch", "--label", "team=film", "--tenant", "acme", "--json")
    (made,) = documents(run("keys", "create", *arguments))
    assert (made["tenant"], made["tiers"], made["labels"]) == (
        "acme",
        ["TIER_BATCH"],
        {"team": "film"},
    )
    found = documents(run("keys", "list", "--tenant", "-", "--json"))
    (again,) = [key for key in found if key["name"] == made["name"]]
    assert "secret" not in again
    assert json.dumps(made["secret"]) not in json.dumps(found)


def test_the_first_key_is_made_with_the_gateway_s_settings(
    run: Run, keyed: GatewayProcess, tmp_path: Path
) -> None:
    settings = str(DataFolder(keyed.data_dir).settings)
    made = CliRunner().invoke(app, ["keys", "bootstrap", "--settings", settings])
    assert made.exit_code == 0, made.output
    assert run("workers", "--once", options=("--api-key", made.stdout.strip())).exit_code == 0
    away = tmp_path / "telecine.toml"
    away.write_text('[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    refused = CliRunner().invoke(app, ["keys", "bootstrap", "--settings", str(away)])
    assert refused.exit_code == 1
    assert "Redis cannot be reached" in refused.stderr


def test_a_gateway_that_would_let_everyone_in_does_not_start(tmp_path: Path) -> None:
    settings = tmp_path / "telecine.toml"
    settings.write_text('[gateway]\nhost = "0.0.0.0"\n')
    # In a process of its own: a gateway sets up the logs of its process for good.
    command = [sys.executable, "-m", "telecine.cli", "gateway", "--settings", str(settings)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "gateway.auth.is_required" in refused.stderr.replace("\n", "")
