"""Tokenizers that open without the engine's libraries."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_wan

from telecine.engine.families import load_family, load_tokenizer

PROMPT = "two cats, fighting on a spotlighted stage &amp; a dog that watches"
PROGRAM = """
import sys
from telecine.engine.families import load_tokenizer
load_tokenizer(sys.argv[1]).encode("a red circle")
print(*sorted({"torch", "transformers", "diffusers"} & set(sys.modules)))
"""


@pytest.fixture(scope="module", params=["toybox", "wan"])
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "toybox":
        return "toybox"
    folder: Path = tmp_path_factory.mktemp("tiny_wan")
    tiny_wan.write_wan(folder)
    return str(folder)


def test_a_tokenizer_opens_without_pytorch(weights: str) -> None:
    command = [sys.executable, "-c", PROGRAM, weights]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.split() == []


def test_alone_it_is_the_family_s(weights: str) -> None:
    alone = load_tokenizer(weights).encode(PROMPT)
    family_s = load_family(weights).load_tokenizer().encode(PROMPT)
    assert alone.input_ids.tolist() == family_s.input_ids.tolist()
    assert alone.attention_mask.tolist() == family_s.attention_mask.tolist()
