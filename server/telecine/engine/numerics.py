"""What the last bits of a result depend on, besides the weights and the inputs."""

import platform
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")
_MODEL_NAME = "model name"


def describe_numerics(device: torch.device, *, variant: str = "") -> str:
    """Returns a line that is the same where the same computation gives the same bits.

    `variant` names what of the computation was chosen: how it is laid out over ranks, say.
    """
    if device.type == "cuda":
        kind = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    else:
        capability = torch.backends.cpu.get_cpu_capability()
        threads = f"{torch.get_num_threads()} threads"
        # MKL goes by the processor's maker as well, and takes other code for each.
        kind = f"{device.type} {processor_name()} {capability}, {threads}"
    line = f"torch {torch.__version__}, {kind}"
    return f"{line}, {variant}" if variant else line


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """The processor's model, from what Linux tells of it; elsewhere as Python names it."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = (line.partition(":") for line in lines)
    models = (value.strip() for name, _, value in fields if name.strip() == _MODEL_NAME)
    return next(models, "") or platform.processor() or platform.machine()
