"""The line that says where a state's bits can be made again."""

import platform
from pathlib import Path

import pytest
import torch

from telecine.engine.numerics import describe_numerics, processor_name

CPU = torch.device("cpu")
CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.exists(), reason="Linux alone has it")
def test_the_line_names_the_processor_s_model() -> None:
    models = [line for line in CPUINFO.read_text().splitlines() if line.startswith("model name")]
    if not models:
        pytest.skip("this processor has no model's name")
    assert models[0].partition(":")[2].strip() in describe_numerics(CPU)


@pytest.mark.parametrize("model", ["Intel(R) Xeon(R) Platinum 8488C", "AMD EPYC 9R14"])
def test_the_name_is_the_first_processor_s(model: str, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    one = f"processor\t: 0\nmodel\t\t: 17\nmodel name\t: {model}\n"
    cpuinfo.write_text(f"{one}\n{one}")
    assert processor_name(cpuinfo) == model


def test_a_processor_without_such_a_name_is_called_what_python_calls_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    for text in (None, "processor\t: 0\nCPU part\t: 0xd40\n"):
        if text is not None:
            cpuinfo.write_text(text)
        assert processor_name(cpuinfo) == (platform.processor() or platform.machine())


def test_the_line_ends_with_what_was_chosen() -> None:
    line = describe_numerics(CPU)
    assert describe_numerics(CPU, variant="tensor 2") == f"{line}, tensor 2"
