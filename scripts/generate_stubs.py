"""Generates server/telecine/v1/ from proto/: message and service stubs with their types.

Run it by hand after a change of proto/; `pip install` runs it through hatch_build.py.
"""

import importlib.util
import shutil
import sysconfig
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

REPOSITORY = Path(__file__).resolve().parent.parent
PROTO_FOLDER = REPOSITORY / "proto"
OUTPUT_FOLDER = REPOSITORY / "server"
PACKAGE_FOLDER = OUTPUT_FOLDER / "telecine" / "v1"
PACKAGE_DOCSTRING = '"""Generated from proto/telecine/v1/ by scripts/generate_stubs.py."""\n'
TYPE_PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


def import_folders() -> list[Path]:
    """Returns the folders protoc searches: ours, protobuf's own, and google/api's."""
    google_api = importlib.util.find_spec("google.api")
    if google_api is None or not google_api.submodule_search_locations:
        msg = "googleapis-common-protos is not installed"
        raise ModuleNotFoundError(msg)
    google_api_folder = Path(google_api.submodule_search_locations[0])
    protobuf_folder = Path(grpc_tools.__file__).parent / "_proto"
    return [PROTO_FOLDER, protobuf_folder, google_api_folder.parent.parent]


def proto_files() -> list[str]:
    """Returns our proto files, relative to proto/."""
    return sorted(str(path.relative_to(PROTO_FOLDER)) for path in PROTO_FOLDER.rglob("*.proto"))


def run_protoc(outputs: list[str]) -> None:
    """Runs protoc over proto/ with `outputs` as its further arguments.

    Raises:
        RuntimeError: protoc refused; it has printed why.
    """
    includes = [f"-I{folder}" for folder in import_folders()]
    if protoc.main(["protoc", *includes, *outputs, *proto_files()]) != 0:
        msg = "protoc refused the files in proto/"
        raise RuntimeError(msg)


def find_plugin(name: str) -> str:
    """Returns the path of a protoc plugin that came with a Python package."""
    scripts_folder = sysconfig.get_path("scripts")
    found = shutil.which(name, path=scripts_folder) or shutil.which(name)
    if found is None:
        msg = f"{name} is not installed: pip install mypy-protobuf"
        raise ModuleNotFoundError(msg)
    return found


def generate_stubs() -> None:
    """Writes the stubs of every proto file, typed, into server/telecine/v1/."""
    PACKAGE_FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in PACKAGE_FOLDER.glob("*_pb2*"):
        stale.unlink()
    plugins = [f"--plugin={name}={find_plugin(name)}" for name in TYPE_PLUGINS]
    languages = ("python", "grpc_python", "mypy", "mypy_grpc")
    run_protoc([*plugins, *(f"--{name}_out={OUTPUT_FOLDER}" for name in languages)])
    (PACKAGE_FOLDER / "__init__.py").write_text(PACKAGE_DOCSTRING)


if __name__ == "__main__":
    generate_stubs()
