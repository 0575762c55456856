"""Checks a weights folder and writes what serves it.

python -m telecine.backend.model_addition NAME WEIGHTS FOLDER [--target cpu] [--load full]
    [--tensor-parallel 1] [--sequence-parallel 1] [--guidance-parallel]
    [--sources model_repository]

FOLDER gets `model/` (card, digests, record) and `triton/` (the roles). Without FOLDER the weights
are only checked. What is wrong with them is told on the error output, and the exit status is 2.
"""

import argparse
import sys
import warnings
from pathlib import Path
from typing import get_args

from google.protobuf import json_format
from transformers.utils.logging import disable_progress_bar

from telecine.backend.model_card import loaded_bytes, model_card
from telecine.backend.model_repository import BuildOptions, build_repository
from telecine.backend.parallel_options import add_parallel_options, parallel_of
from telecine.engine.families.weights_check import CheckedWeights, check_weights
from telecine.engine.offload.options import WeightsMode
from telecine.inference.model_configs import Target
from telecine.worker.added_models import RECORD_NAME, AddedModel
from telecine.worker.model_manifest import MANIFEST_NAME, describe_folder
from telecine.worker.model_registry import CARD_NAME

_VERSION_CHARACTERS = 12


def main() -> None:
    """Read the command line, check, write."""
    options = _parse()
    warnings.simplefilter("ignore")  # the exporter's
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        checked = check_weights(options.weights)
        for note in checked.notes:
            sys.stdout.write(f"note: {note}\n")
        if options.folder is not None:
            write_model(checked, options.folder, options=options)
    except (ValueError, ModuleNotFoundError) as error:
        sys.exit(_refusal(error))


def _refusal(error: Exception) -> int:
    sys.stderr.write(f"{error}\n")
    return 2


def write_model(checked: CheckedWeights, folder: Path, *, options: argparse.Namespace) -> None:
    """Write a checked model into an empty folder.

    Raises:
        ValueError: a plan cannot be built here, or the denoiser cannot be laid out so.
        ModuleNotFoundError: the target is TensorRT, which is not installed.
    """
    manifest = describe_folder(checked.folder)
    weights = str(checked.folder)
    parallel = parallel_of(options)
    build = BuildOptions(
        target=options.target,
        weights_mode=options.load,
        parallel=parallel,
        weights_digest=manifest.digest,
    )
    build_repository(
        folder / "triton", options.sources, model=options.name, weights=weights, options=build
    )
    card = model_card(
        checked.family.card.laid_out(checked.family.parallel_plan, parallel),
        version=manifest.digest.removeprefix("sha256:")[:_VERSION_CHARACTERS],
        memory_bytes=loaded_bytes(
            checked, target=options.target, weights_mode=options.load, parallel=parallel
        ),
    )
    record = AddedModel(
        weights=weights, target=options.target, weights_mode=options.load, parallel=str(parallel)
    )
    model = folder / "model"
    model.mkdir()
    (model / CARD_NAME).write_text(json_format.MessageToJson(card, indent=2) + "\n")
    (model / MANIFEST_NAME).write_text(manifest.to_json())
    (model / RECORD_NAME).write_text(record.to_json())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--target", choices=get_args(Target), default="cpu")
    parser.add_argument("--load", choices=get_args(WeightsMode), default="full")
    add_parallel_options(parser)
    parser.add_argument("--sources", type=Path, default=Path("model_repository"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
