"""Writes the contract as one descriptor image, for other languages and for buf.

The image holds imports and source info: `buf lint`, `buf breaking` and any protoc
can read it without google/api beside them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from generate_stubs import REPOSITORY, run_protoc

DEFAULT_OUTPUT = REPOSITORY / "build" / "telecine.binpb"


def build_descriptor_set(output: Path, *, also: Sequence[str] = ()) -> None:
    """Compiles proto/ with its imports and comments into `output`.

    Args:
        output: the image.
        also: files of protobuf or google/ that it holds too.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    flags = ["--include_imports", "--include_source_info"]
    run_protoc([*flags, f"--descriptor_set_out={output}", *also])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, default=DEFAULT_OUTPUT)
    parser.add_argument("--also", nargs="*", default=[], help="files of google/ that it holds too")
    arguments = parser.parse_args()
    build_descriptor_set(arguments.output, also=arguments.also)
