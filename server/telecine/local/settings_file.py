"""Writes the settings that the gateway and the worker of one data folder are started with."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from telecine.auth_settings import AuthSettings
from telecine.config import (
    GatewaySettings,
    LogSettings,
    RedisSettings,
    StorageSettings,
    TritonSettings,
    WorkerSettings,
)
from telecine.free_ports import LOCAL_HOST
from telecine.local.data_folder import DataFolder, Ports
from telecine.settings_section import Section


def write_settings(folder: DataFolder, ports: Ports) -> None:
    """Write `folder.settings` for a service on these ports."""
    sections = {
        "gateway": GatewaySettings(
            host=LOCAL_HOST,
            port=ports.gateway,
            address_file=folder.address,
            http_port=ports.http,
            auth=AuthSettings(is_required=True),
        ),
        "redis": RedisSettings(
            url=f"redis://{LOCAL_HOST}:{ports.redis}/0", memory_folder=folder.memory
        ),
        "triton": TritonSettings(grpc_url=f"{LOCAL_HOST}:{ports.triton_grpc}"),
        "storage": StorageSettings(url=str(folder.objects)),
        "worker": WorkerSettings(
            checkpoint_folder=folder.checkpoints,
            added_models_folder=folder.added_models,
            triton_repository=folder.added_repository,
        ),
        "log": LogSettings(),
    }
    folder.settings.write_text(to_toml(sections))


def to_toml(sections: Mapping[str, Section]) -> str:
    """Write what differs from the defaults; JSON's strings, numbers and lists are TOML's too."""
    lines: list[str] = []
    for name, section in sections.items():
        lines += _table(name, section.model_dump(mode="json", exclude_defaults=True))
    return "\n".join(lines).lstrip() + "\n"


def _table(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    yield from ("", f"[{name}]")
    for key, value in values.items():
        if value is not None and key not in tables:
            yield f"{key} = {json.dumps(value)}"
    for key, value in tables.items():
        yield from _table(f"{name}.{key}", value)
