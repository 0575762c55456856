"""Names of models become folders: none leads out of where added models lie."""

from pathlib import Path

import pytest

from telecine.local.data_folder import DataFolder
from telecine.local.model_adding import (
    Addition,
    ModelAdditionError,
    add_model,
    retire_model,
    verify_model,
)

BAD_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc",
    "a\\b",
    "a\0b",
    "a\n",
    "A",
    "-a",
    "a" * 64,
    "a__b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = DataFolder(tmp_path / "data")
    (folder.added_models / "a").mkdir(parents=True)
    addition = Addition(name, tmp_path, "cpu", "whole", tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelAdditionError, match="a name has 1 to 63"):
        add_model(folder, addition, report=lambda _: None)
    for end in (verify_model, retire_model):
        with pytest.raises(ModelAdditionError, match="not an added model"):
            end(folder, name)
    assert sorted(tmp_path.rglob("*")) == before
