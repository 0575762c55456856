"""Rules of the house that no linter knows."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import telecine.client

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = ("server", "kernels", "proto", "scripts", "tests")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_MODEL_LINES = 60
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:root|work|home|Users)/[\w.]")
REGISTRY_HOSTS = re.compile(r"pythonhosted|pypi\.org|download\.pytorch|artifactory|registry\.npmjs")
HEAVY_PACKAGES = {"torch", "redis", "numpy", "av", "PIL", "pydantic", "tritonclient", "structlog"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def _modules(*folders: str) -> list[Path]:
    generated = ROOT / "server" / "telecine" / "v1"
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [path for path in found if generated not in path.parents]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_modules_stay_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _modules(*SOURCE_ROOTS)}
    assert {path: n for path, n in lengths.items() if n > MAX_MODULE_LINES} == {}


def test_functions_stay_short() -> None:
    long = [
        f"{path.name}:{node.lineno} {node.name}"
        for path in _modules("server", "scripts")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_model_files_only_name_tensors() -> None:
    models = list((ROOT / "model_repository").glob("*/1/model.py"))
    assert models
    assert [path for path in models if len(path.read_text().splitlines()) >= MAX_MODEL_LINES] == []


def test_source_roots_are_no_packages() -> None:
    assert [root for root in SOURCE_ROOTS if (ROOT / root / "__init__.py").exists()] == []


def test_what_is_generated_is_not_committed() -> None:
    made = (
        "server/telecine/v1/",
        "sdk/js/src/gen/",
        "sdk/js/dist/",
        ".onnx",
        ".plan",
        ".engine",
        ".pyc",
    )
    names = [path.relative_to(ROOT).as_posix() for path in _tracked()]
    assert [name for name in names if any(part in name for part in made)] == []


def test_no_machine_and_no_registry_is_named() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): match.group()
        for path in _tracked()
        for pattern in (MACHINE_PATHS, REGISTRY_HOSTS)
        if path != Path(__file__) and (match := pattern.search(_text(path)))
    }
    assert found == {}


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    constraints = set((ROOT / "constraints.txt").read_text().split())
    extras = project["optional-dependencies"].values()
    direct = {
        re.sub(r"\[.*\]", "", name)
        for name in [*project["dependencies"], *(name for extra in extras for name in extra)]
        if not name.startswith("telecine[")
    }
    assert direct - constraints == set()


def test_scripts_that_people_run_are_executable() -> None:
    scripts = ("scripts/setup", "scripts/demo", "scripts/test", "scripts/check", ".ci/run")
    assert [name for name in scripts if not os.access(ROOT / name, os.X_OK)] == []


def test_public_names_of_the_client() -> None:
    assert telecine.client.__all__ == sorted(telecine.client.__all__)
    public = {name for name in vars(telecine.client) if name[0].isupper()}
    assert public == set(telecine.client.__all__)


def test_the_client_imports_nothing_heavy() -> None:
    code = "import sys, telecine.client; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert HEAVY_PACKAGES & set(loaded.stdout.split()) == set()
