"""What finding out who calls costs: API keys and access tokens against a gateway that asks nobody.

python scripts/bench/authentication.py [--rounds 5] [--calls 2000]
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import uvloop
from gateway_loads import CALLS_AT_ONCE, calls_per_second
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from report import Figure, figure, write_report

from telecine.auth_settings import AccessTokenSettings, AuthSettings
from telecine.config import (
    GatewaySettings,
    RedisSettings,
    StorageSettings,
)
from telecine.jobs.redis_server import RedisServer
from telecine.local.operator_key import make_operator_key
from telecine.local.python_process import PythonProcess
from telecine.local.settings_file import to_toml
from telecine.v1 import account_service_pb2, account_service_pb2_grpc

START_SECONDS = 60.0
ROBOT = {"iss": "bench", "aud": "bench", "sub": "robot", "tenant": "default", "scope": "admin"}
NOBODY = "nobody asked"


@dataclass(frozen=True)
class Gateway:
    """A gateway process."""

    address: str
    pid: int

    def cpu_seconds(self) -> float:
        """Returns the CPU time that it has used: unlike a rate it does not feel other processes."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000, help="of each kind in a round")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telecine-bench-")))
        redis = stack.enter_context(RedisServer(folder / "redis"))
        keys = _signing_keys()
        issuer = AccessTokenSettings(
            issuer=ROBOT["iss"],
            audience=ROBOT["aud"],
            jwks_url=stack.enter_context(_published(keys, folder / "keys")),
        )
        asking = AuthSettings(is_required=True, access_tokens=issuer)
        gateways = [
            stack.enter_context(_gateway(folder / name, redis.url, auth))
            for name, auth in (("open", AuthSettings()), ("asking", asking))
        ]
        secrets = {"API key": make_operator_key(redis.url, tenant="default")}
        secrets |= {f"{key.kid} token": _token(key) for key in keys}
        rows = uvloop.run(_measure(gateways, secrets, options))
    write_report("authentication", rows)


async def _measure(
    gateways: Sequence[Gateway], secrets: dict[str, str], options: argparse.Namespace
) -> list[Figure]:
    """Makes every kind of call in turn, round by round."""
    kinds = {NOBODY: (gateways[0], "")}
    kinds |= {name: (gateways[1], secret) for name, secret in secrets.items()}
    micros: dict[str, list[float]] = {name: [] for name in kinds}
    async with AsyncExitStack() as stack:
        stubs = {
            gateway: account_service_pb2_grpc.AccountServiceStub(
                await stack.enter_async_context(grpc.aio.insecure_channel(gateway.address))
            )
            for gateway in gateways
        }
        for number in range(options.rounds + 1):
            for name, (gateway, secret) in kinds.items():
                before = gateway.cpu_seconds()
                await calls_per_second(partial(_call, stubs[gateway], secret), options.calls)
                if number:  # the first round warms up
                    spent = gateway.cpu_seconds() - before
                    micros[name].append(1e6 * spent / options.calls)
    return _rows(micros, f"{CALLS_AT_ONCE} GetCaller at once, {options.calls} a round")


def _call(stub: Any, secret: str) -> Any:
    metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
    return stub.GetCaller(account_service_pb2.GetCallerRequest(), metadata=metadata)


def _rows(micros: dict[str, list[float]], conditions: str) -> list[Figure]:
    bare = micros.pop(NOBODY)
    rows = [figure(f"{NOBODY}, CPU of a call, µs", bare, conditions=conditions)]
    for name, spent in micros.items():
        added = [one - other for one, other in zip(spent, bare, strict=True)]
        rows.append(figure(f"{name}, CPU added to a call, µs", added, conditions=conditions))
    return rows


def _signing_keys() -> list[Key]:
    return [
        ECKey.generate_key("P-256", {"kid": "ES256", "alg": "ES256"}),
        RSAKey.generate_key(2048, {"kid": "RS256", "alg": "RS256"}),
        OKPKey.generate_key("Ed25519", {"kid": "Ed25519", "alg": "Ed25519"}),
    ]


def _token(key: Key) -> str:
    header = {"alg": key.kid, "kid": key.kid, "typ": "at+jwt"}
    claims = {**ROBOT, "exp": int(time.time()) + 3600}
    return jwt.encode(header, claims, key, algorithms=[str(key.kid)])


@contextmanager
def _published(keys: Sequence[Key], folder: Path) -> Iterator[str]:
    folder.mkdir()
    document = {"keys": [key.as_dict(private=False) for key in keys]}
    (folder / "jwks").write_text(json.dumps(document))
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/jwks"
        server.shutdown()


@contextmanager
def _gateway(folder: Path, redis_url: str, auth: AuthSettings) -> Iterator[Gateway]:
    folder.mkdir()
    address, settings = folder / "address", folder / "telecine.toml"
    sections = {
        "gateway": GatewaySettings(address_file=address, auth=auth),
        "redis": RedisSettings(url=redis_url),
        "storage": StorageSettings(url=str(folder / "objects")),
    }
    settings.write_text(to_toml(sections))
    process = PythonProcess("gateway", settings=settings, log=folder / "gateway.log")
    process.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not address.exists():
            if time.monotonic() > deadline or not process.is_running:
                raise RuntimeError(process.last_log_lines())
            time.sleep(0.05)
        assert process.pid is not None
        yield Gateway(address.read_text().strip(), process.pid)
    finally:
        process.stop()


if __name__ == "__main__":
    main()
