"""How every command reaches its server: with a key, and with TLS."""

from pathlib import Path

from certificates import CertificateAuthority
from gateway_process import running_gateway
from typer.testing import CliRunner

from telecine.auth_settings import TlsSettings
from telecine.cli.app import app


def test_a_gateway_with_mtls_is_reached_with_the_right_files(
    redis_url: str, tmp_path: Path
) -> None:
    authority = CertificateAuthority(tmp_path)
    (cert, key), (own_cert, own_key) = authority.issue("server"), authority.issue("client")
    tls = TlsSettings(cert=cert, key=key, client_ca=authority.file)
    files = ["--ca", str(authority.file), "--cert", str(own_cert), "--cert-key", str(own_key)]
    with running_gateway(redis_url, tmp_path / "data", tls=tls) as gateway:
        command = ["list", "--server", gateway.address]
        reached = CliRunner().invoke(app, [*files, *command])
        assert reached.exit_code == 0, reached.output
        assert "no videos" in reached.stderr
        assert CliRunner().invoke(app, [*files[:2], *command]).exit_code == 1


def test_a_file_that_is_not_there_is_named() -> None:
    refused = CliRunner().invoke(app, ["--ca", "nowhere.pem", "list"])
    assert refused.exit_code == 2
    assert "nowhere.pem" in refused.stderr
