"""Hatchling's build hook: what an install or a wheel has beside the packages as they stand."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface[Any]):
    """Adds the stubs of proto/, and to a wheel the web application."""

    PLUGIN_NAME = "telecine"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generates server/telecine/v1/ with the build's own packages before files are collected.

        An editable install reads web/ where it lies.
        """
        script = Path(self.root) / "scripts" / "generate_stubs.py"
        subprocess.run([sys.executable, str(script)], check=True)
        if self.target_name == "wheel" and version != "editable":
            build_data["force_include"][str(Path(self.root) / "web")] = "telecine/web"
