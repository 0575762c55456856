from pathlib import Path

from telecine.config import load_settings
from telecine.local.data_folder import DataFolder
from telecine.local.settings_file import write_settings


def test_what_is_written_is_what_a_process_loads(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / 'a "folder"')
    folder.root.mkdir()
    ports = folder.choose_ports()
    write_settings(folder, ports)
    settings = load_settings(folder.settings)
    assert settings.gateway.port == ports.gateway
    assert settings.gateway.address_file == folder.address
    assert settings.redis.url.endswith(f":{ports.redis}/0")
    assert settings.triton.grpc_url.endswith(f":{ports.triton_grpc}")
    assert settings.storage.url == str(folder.objects)
    assert settings.worker.checkpoint_folder == folder.checkpoints
