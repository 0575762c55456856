"""Publish a weights folder, with what Triton needs of it, to a registry of models.

Workers whose `worker.model_registry` is that registry then serve it as `model` or `model@version`.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from build_model_repository import COMMITTED, silence_the_exporter
from telecine.backend.model_repository import build_repository, describe_model
from telecine.storage import open_object_store
from telecine.worker.model_publishing import publish_model
from telecine.worker.model_registry import find_weights
from telecine.worker.triton_repository import DESCRIPTION_NAME, TRITON_FOLDER


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="a built-in family or a folder; its name is the model's")
    parser.add_argument("registry", help="a folder, or s3://bucket/prefix?endpoint=...")
    arguments = parser.parse_args()
    silence_the_exporter()
    weights = find_weights(arguments.weights).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / weights.name
        shutil.copytree(weights, folder)
        add_triton_models(folder)
        published = asyncio.run(publish_model(folder, open_object_store(arguments.registry)))
    print(f"{published.model_id}@{published.version} is published")


def add_triton_models(folder: Path) -> None:
    """Export what Triton runs of a weights folder, and describe what its configs depend on."""
    model = folder.name
    description = asdict(describe_model(model, str(folder)))
    for name in ("model", "weights"):  # what the worker fills in
        del description[name]
    with tempfile.TemporaryDirectory() as temporary:
        repository = Path(temporary)
        build_repository(repository, COMMITTED, model=model, weights=str(folder))
        for role_folder in repository.iterdir():
            role = role_folder.name.removeprefix(f"{model}__")
            shutil.copytree(role_folder / "1", folder / TRITON_FOLDER / role)
    (folder / TRITON_FOLDER / DESCRIPTION_NAME).write_text(json.dumps(description, indent=2))


if __name__ == "__main__":
    main()
