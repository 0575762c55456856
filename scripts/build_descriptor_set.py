"""Writes the contract as one descriptor image, for other languages and for buf.

The image holds imports and source info: `buf lint`, `buf breaking` and any protoc
can read it without google/api beside them.
"""

import argparse
from pathlib import Path

from generate_stubs import REPOSITORY, run_protoc

DEFAULT_OUTPUT = REPOSITORY / "build" / "telecine.binpb"


def build_descriptor_set(output: Path) -> None:
    """Compiles proto/ with its imports and comments into `output`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    flags = ["--include_imports", "--include_source_info"]
    run_protoc([*flags, f"--descriptor_set_out={output}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, default=DEFAULT_OUTPUT)
    build_descriptor_set(parser.parse_args().output)
