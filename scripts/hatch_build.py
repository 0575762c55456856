"""Hatchling's build hook: makes the stubs of proto/ part of every install and wheel."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateStubsHook(BuildHookInterface[Any]):
    """Generates server/telecine/v1/ before its files are collected."""

    PLUGIN_NAME = "generate-stubs"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Runs scripts/generate_stubs.py with the build's own packages."""
        script = Path(self.root) / "scripts" / "generate_stubs.py"
        subprocess.run([sys.executable, str(script)], check=True)
