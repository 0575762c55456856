"""A client finds the key of the service on its own machine, and shows it to nobody else."""

from pathlib import Path

import pytest

from telecine.client.credentials import find_api_key
from telecine.local.data_folder import DataFolder


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TELECINE_API_KEY", raising=False)
    monkeypatch.delenv("TELECINE_DATA_DIR", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path)
    folder.address.write_text("127.0.0.1:7080\n")
    folder.api_key.write_text("tc_key\n")
    return folder


def test_the_key_of_a_data_folder_is_for_its_own_gateway(folder: DataFolder) -> None:
    assert find_api_key("127.0.0.1:7080", folder.root) == "tc_key"
    for address in ("127.0.0.1:7081", "gateway.test:7080", ""):
        assert find_api_key(address, folder.root) == ""


def test_the_data_folder_is_the_environment_s_else_the_person_s(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_api_key("127.0.0.1:7080") == ""
    monkeypatch.setenv("TELECINE_DATA_DIR", str(folder.root))
    assert find_api_key("127.0.0.1:7080") == "tc_key"


def test_the_environment_s_key_comes_first(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELECINE_API_KEY", "tc_other")
    assert find_api_key("127.0.0.1:7080", folder.root) == "tc_other"
    assert find_api_key("gateway.test:7080", folder.root) == "tc_other"


def test_without_a_key_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "gateway.address").write_text("127.0.0.1:7080\n")
    assert find_api_key("127.0.0.1:7080", tmp_path) == ""
