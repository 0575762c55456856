"""An added model runs the programs of the version that is installed, whichever added it."""

from pathlib import Path

import pytest

from telecine.local.model_sources import link_sources


def write_program(repository: Path, role: str, text: str) -> Path:
    program = repository / role / "1" / "model.py"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(text)
    return program


@pytest.fixture
def added(tmp_path: Path) -> Path:
    return tmp_path / "added"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "installed"
    for role in ("image_preprocess", "t5_encoder"):
        write_program(folder, f"toybox__{role}", f"{role}, new")
    return folder


def test_role_runs_what_is_installed_also_after_an_upgrade(added: Path, sources: Path) -> None:
    program = write_program(added, "film.2__image_preprocess", "old")
    link_sources(added, sources)
    assert program.read_text() == "image_preprocess, new"
    write_program(sources, "toybox__image_preprocess", "newer still")
    assert program.read_text() == "newer still"


def test_encoder_of_any_name_runs_the_one_program_of_encoders(added: Path, sources: Path) -> None:
    program = write_program(added, "film__gemma_encoder", "old")
    link_sources(added, sources)
    assert program.read_text() == "t5_encoder, new"


def test_installation_that_has_moved_is_found_again(
    added: Path, sources: Path, tmp_path: Path
) -> None:
    program = write_program(added, "film__image_preprocess", "old")
    link_sources(added, sources)
    moved = sources.rename(tmp_path / "elsewhere")
    link_sources(added, moved)
    assert program.read_text() == "image_preprocess, new"


def test_what_has_no_program_gets_none(added: Path, sources: Path) -> None:
    plan = added / "film__t5_encoder" / "1" / "model.plan"
    plan.parent.mkdir(parents=True)
    plan.touch()
    link_sources(added, sources)
    assert list(plan.parent.iterdir()) == [plan]


def test_role_keeps_its_program_where_there_is_no_other(added: Path, tmp_path: Path) -> None:
    program = write_program(added, "film__dit_sampler", "old")
    link_sources(added, tmp_path / "nothing")
    assert program.read_text() == "old"
