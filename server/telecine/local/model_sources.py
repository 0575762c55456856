"""What the roles of added models run: this installation's model.py files, not copies of them.

A copy is of the version that added the model, and calls a package that an upgrade has changed.
"""

from pathlib import Path

_BUILT_IN_MODEL = "toybox"
_ENCODER = "t5_encoder"
"""The role whose model.py serves every encoder of any family."""


def link_sources(added: Path, sources: Path) -> None:
    """Have every role in a repository of added models run what is in `sources` now.

    A role whose program `sources` does not have keeps its own.

    Args:
        added: the repository.
        sources: the repository of the built-in model.
    """
    encoder = _program(sources / f"{_BUILT_IN_MODEL}__{_ENCODER}")
    for folder in added.glob("*__*"):
        program = _program(folder)
        if not (program.exists() or program.is_symlink()):
            continue  # a plan, or an ensemble
        role = folder.name.rpartition("__")[2]
        source = _program(sources / f"{_BUILT_IN_MODEL}__{role}")
        if not source.exists():
            source = encoder
        if source.exists():
            _link(program, source)


def _program(role: Path) -> Path:
    return role / "1" / "model.py"


def _link(program: Path, source: Path) -> None:
    made = program.with_name(".model.py")
    made.unlink(missing_ok=True)
    made.symlink_to(source.resolve())
    made.replace(program)
