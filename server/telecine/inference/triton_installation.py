"""The Triton server of the nvidia-pytriton wheel, laid out so that it runs as it is.

`python -m telecine.inference.triton_installation ARGS` becomes `tritonserver ARGS` with
the environment that this server and its Python models need.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from telecine.free_ports import LOCAL_HOST

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT_BYTES = 1 << 30
_KEPT_SHAPES = 128


@dataclass(frozen=True)
class TritonInstallation:
    """Where the parts of one Triton server lie."""

    executable: Path
    backend_folder: Path
    library_folders: tuple[Path, ...]

    def command(self, arguments: list[str], *, num_threads: int) -> list[str]:
        """Return the whole command line that runs the server with this environment.

        Triton's Python models find this interpreter's packages by PATH, those installed in
        editable mode too; their interpreter does not read PYTHONPATH.
        """
        variables = {
            "PATH": f"{Path(sys.prefix) / 'bin'}:{SYSTEM_PATH}",
            "LD_LIBRARY_PATH": ":".join(str(folder) for folder in self.library_folders),
            "OMP_NUM_THREADS": str(num_threads),
            # Idle threads that spin starve the other models' processes.
            "OMP_WAIT_POLICY": "passive",
            # What ranks of one model tell each other stays on this machine.
            "GLOO_SOCKET_IFNAME": "lo",
            # The stub gave every activation back to the kernel: 35,000 page faults, and a
            # tenth of its time, in each step of half a second.
            "MALLOC_MMAP_THRESHOLD_": str(_KEPT_BYTES),
            "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
            # oneDNN keeps half a megabyte of code for every shape it has met, by default of the
            # last 1024; a step has some 30, and what is forgotten is made again in 0.4 ms.
            "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(_KEPT_SHAPES),
        }
        environment = [f"{name}={value}" for name, value in variables.items()]
        backends = f"--backend-directory={self.backend_folder}"
        return ["/usr/bin/env", *environment, str(self.executable), backends, *arguments]


def find_triton(cache_folder: Path | None = None) -> TritonInstallation:
    """Find the wheel's server and assemble its Python backend in the cache folder.

    Args:
        cache_folder: where the backend is put together, inside the virtual
            environment if not given.

    Raises:
        FileNotFoundError: nvidia-pytriton is not installed, or has no stub for this
            version of Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("nvidia-pytriton is not installed: it brings the Triton server")
    site_packages = Path(spec.origin).parents[1]
    server_files = Path(spec.origin).parent / "tritonserver"
    version = importlib.metadata.version("nvidia-pytriton")
    cache = cache_folder or Path(sys.prefix) / "share" / "telecine"
    return TritonInstallation(
        executable=server_files / "bin" / "tritonserver",
        backend_folder=_assemble_backend(server_files, cache / f"triton-backends-{version}"),
        library_folders=(site_packages / "nvidia_pytriton.libs", *_python_library_folder()),
    )


def _assemble_backend(server_files: Path, backend_folder: Path) -> Path:
    """Put the backend's library and this Python's stub side by side, as Triton wants them."""
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stubs = server_files / "python_backend_stubs"
    stub = stubs / python_version / "triton_python_backend_stub"
    if not stub.exists():
        versions = ", ".join(sorted(folder.name for folder in stubs.iterdir()))
        raise FileNotFoundError(f"Triton has no stub for Python {python_version}, only {versions}")
    finished = backend_folder / "python" / stub.name
    if finished.exists():
        return backend_folder
    backend_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=backend_folder.parent) as temporary:
        assembled = Path(temporary) / "backends"
        shutil.copytree(server_files / "backends" / "python", assembled / "python")
        shutil.copy2(stub, assembled / "python")
        _publish(assembled, backend_folder)
    return backend_folder


def _publish(assembled: Path, backend_folder: Path) -> None:
    """Rename a finished folder into place; another process may have been faster."""
    try:
        assembled.rename(backend_folder)
    except OSError:
        if not backend_folder.is_dir():
            raise


def _python_library_folder() -> tuple[Path, ...]:
    """Return the folder of libpython, which the stub is linked to, where Python has one."""
    folder = Path(sysconfig.get_config_var("LIBDIR"))
    library = folder / str(sysconfig.get_config_var("INSTSONAME"))
    return (folder,) if library.suffix != ".a" and library.exists() else ()


if __name__ == "__main__":
    local_addresses = [f"--{name}-address={LOCAL_HOST}" for name in ("http", "grpc", "metrics")]
    command = find_triton().command([*local_addresses, *sys.argv[1:]], num_threads=1)
    os.execv(command[0], command)
