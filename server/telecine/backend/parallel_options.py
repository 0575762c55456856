"""A layout of ranks on a command line."""

import argparse

from telecine.engine.parallel.layout import ParallelConfig


def add_parallel_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `parallel_of` reads."""
    parser.add_argument(
        "--tensor-parallel", type=int, default=1, metavar="N", help="ranks that share each layer"
    )
    parser.add_argument(
        "--sequence-parallel", type=int, default=1, metavar="N", help="ranks that share the tokens"
    )
    parser.add_argument(
        "--guidance-parallel", action="store_true", help="prompt and negative prompt side by side"
    )


def parallel_of(options: argparse.Namespace) -> ParallelConfig:
    """Return the layout that was asked for.

    Raises:
        ValueError: a size is impossible.
    """
    return ParallelConfig(
        tensor_parallel_size=options.tensor_parallel,
        sequence_parallel_size=options.sequence_parallel,
        guidance_parallel_size=2 if options.guidance_parallel else 1,
    )
