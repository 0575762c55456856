"""Build the Triton repository of a model.

Without options it completes model_repository/ for the built-in model: set-up calls it so.
"""

import argparse
import importlib.util
import logging
import warnings
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from telecine.backend.model_repository import BuildOptions, build_repository
from telecine.backend.parallel_options import add_parallel_options, parallel_of
from telecine.backend.tensorrt_plan import build_plan, load_tensorrt_rtx
from telecine.inference.model_configs import MAX_BATCH_SIZE
from telecine.worker.model_manifest import describe_folder
from telecine.worker.model_registry import find_weights

CHECKOUT = Path(__file__).resolve().parents[1]
COMMITTED = CHECKOUT / "model_repository"
PROOF_CAPABILITY = "SM86"


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="toybox", help="first part of the roles' names")
    parser.add_argument("--weights", default="toybox", help="a built-in family or a folder")
    parser.add_argument("--folder", type=Path, help="repository to write")
    parser.add_argument("--target", choices=("cpu", "cuda", "tensorrt"), default="cpu")
    add_parallel_options(parser)
    parser.add_argument(
        "--check-tensorrt",
        action="store_true",
        help="prove the ONNX files with TensorRT's parser and builder, without a GPU",
    )
    arguments = parser.parse_args()
    folder = arguments.folder or default_folder(arguments.target)
    if arguments.target == "tensorrt" and importlib.util.find_spec("tensorrt") is None:
        parser.error("plans need the tensorrt package and a GPU; see --check-tensorrt")
    silence_the_exporter()
    digest = describe_folder(find_weights(arguments.weights)).digest
    build_repository(
        folder,
        COMMITTED,
        model=arguments.model,
        weights=arguments.weights,
        options=BuildOptions(
            target=arguments.target, weights_digest=digest, parallel=parallel_of(arguments)
        ),
    )
    print(f"{folder} is complete")
    if arguments.check_tensorrt:
        check_tensorrt(folder, arguments.model)


def silence_the_exporter() -> None:
    """Keep to ourselves what it says of packages it does without and of its own next version."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    disable_progress_bar()


def default_folder(target: str) -> Path:
    """Keep the other variants apart: what is committed runs anywhere."""
    return COMMITTED if target == "cpu" else CHECKOUT / "build" / f"model_repository_{target}"


def check_tensorrt(folder: Path, model: str) -> None:
    """Build each encoder's plan for a common GPU and throw it away."""
    tensorrt = load_tensorrt_rtx()
    for path in sorted(folder.glob(f"{model}__*/1/model.onnx")):
        plan = build_plan(
            tensorrt, path, max_batch_size=MAX_BATCH_SIZE, compute_capability=PROOF_CAPABILITY
        )
        print(f"{path.parts[-3]}: TensorRT takes it; a plan of {len(plan) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
