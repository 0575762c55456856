from pathlib import Path

from telecine.auth_settings import AccessTokenSettings, AuthSettings, TlsSettings
from telecine.config import (
    GatewaySettings,
    load_settings,
)
from telecine.local.data_folder import DataFolder
from telecine.local.settings_file import to_toml, write_settings


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
    assert settings.gateway.auth.is_required


def test_tables_in_tables_are_written_as_toml_has_them(tmp_path: Path) -> None:
    gateway = GatewaySettings(
        auth=AuthSettings(
            is_required=True,
            access_tokens=AccessTokenSettings(
                issuer="https://issuer.test",
                audience="telecine",
                jwks_url="https://issuer.test/jwks",
                types=("at+jwt", "jwt"),
            ),
        ),
        tls=TlsSettings(cert=tmp_path / "cert", key=tmp_path / "key"),
    )
    file = tmp_path / "telecine.toml"
    file.write_text(to_toml({"gateway": gateway}))
    assert load_settings(file).gateway == gateway
