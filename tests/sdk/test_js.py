"""The JavaScript client's own tests and examples, against a running service."""

import re
from pathlib import Path

import pytest
from js_package import built_js_package
from sdk_service import Service, TlsService, run_program


@pytest.fixture(scope="module")
def js_package() -> Path:
    """The client, built once."""
    return built_js_package()


async def _addresses(service: Service) -> dict[str, str]:
    addresses = {"GRPC": service.gateway.address, "HTTP": service.gateway.http_url}
    breaks = {"REFUSING": 0, "BREAKING_WATCHES": 40_000, "BREAKING_DOWNLOADS": 2 << 20}
    for edge, address in list(addresses.items()):
        scheme = "http://" if edge == "HTTP" else ""
        for kind, break_bytes in breaks.items():
            name = f"{edge}_{kind}"
            proxy = await service.broken(name, address, num_breaks=2, break_bytes=break_bytes)
            addresses[name] = scheme + proxy
    return addresses


@pytest.mark.slow
@pytest.mark.timeout(600)  # it builds the package and starts node and a browser for each file
async def test_the_client_does_what_its_own_tests_say(
    js_package: Path, service: Service, tls_service: TlsService
) -> None:
    settings = {
        **await _addresses(service),
        "API_KEY": service.api_key,
        "GRPC_TLS": tls_service.address,
        "TLS_CA": str(tls_service.ca),
        "TLS_CERT": str(tls_service.cert),
        "TLS_KEY": str(tls_service.key),
    }
    named = {f"TELECINE_TEST_{name}": value for name, value in settings.items()}
    tests = ("node", "--test", "--test-timeout=240000", "dist/tests/")  # one that hangs is named
    code, told = await run_program(*tests, cwd=js_package, **named)
    assert code == 0, told
    # Each proxy broke both its connections, and the client came again.
    connections = {name: proxy.num_connections for name, proxy in service.opened.items()}
    assert {name: n for name, n in connections.items() if n < 3} == {}


@pytest.mark.parametrize(
    ("example", "told"),
    [
        ("make_and_download", r"out\.mp4: 1000 bytes, seed \d+"),
        ("live_progress", r"(?s)QUEUED.*step 20 of 20, 0\.0 s left\n.*SUCCEEDED"),
        ("many_videos", r"(?s)(SUCCEEDED \S+/\d+\.mp4\n){3}"),
    ],
)
async def test_examples_run(
    js_package: Path, service: Service, tmp_path: Path, example: str, told: str
) -> None:
    arguments = {
        "make_and_download": ("a red circle", "out.mp4"),
        "live_progress": (),
        "many_videos": ("3", str(tmp_path)),
    }
    script = js_package / "examples" / f"{example}.mjs"
    code, output = await run_program(
        *("node", script, *arguments[example]), cwd=tmp_path, **service.environment
    )
    assert code == 0, output
    assert re.search(told, output), output
