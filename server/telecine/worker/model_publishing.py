"""Puts a weights folder into a registry, from which workers fetch it."""

import asyncio
from pathlib import Path

from telecine.errors import NotFoundError
from telecine.storage.keys import checked_key
from telecine.storage.object_store import ObjectStore
from telecine.worker.model_manifest import (
    MANIFEST_NAME,
    PublishedVersion,
    describe_folder,
    version_prefix,
)
from telecine.worker.model_registry import read_folder


async def publish_model(folder: Path, registry: ObjectStore) -> PublishedVersion:
    """Stores every file of a weights folder under its model and version, the manifest last.

    Raises:
        ValueError: the folder is not a model's, a file's name fits no object store, or the
            version is published with other files: a version never changes.
        ObjectStoreUnavailableError: the registry is away; it is safe to try again.
    """
    model = await asyncio.to_thread(read_folder, folder)
    manifest = await asyncio.to_thread(describe_folder, folder)
    published = PublishedVersion(model.model_id, model.card.version, manifest)
    text = manifest.to_json().encode()
    key = f"{version_prefix(published.model_id, published.version)}/{MANIFEST_NAME}"
    try:
        found = b"".join([chunk async for chunk in registry.read(key)])
    except NotFoundError:
        found = text
    if found != text:
        raise ValueError(f"{published.prefix} is published with other files")
    for name in map(checked_key, manifest.files):
        await registry.put_file(f"{published.prefix}/{name}", folder / name)
    await registry.put(key, text)
    return published
