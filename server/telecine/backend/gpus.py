"""How many GPUs there are, for processes that run without PyTorch."""

import ctypes


def count_gpus() -> int:
    """Ask CUDA's driver, which heeds CUDA_VISIBLE_DEVICES; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    is_known = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if is_known else 0
