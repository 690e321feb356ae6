"""Makes two runs of the same code equal, as far as that is in the hands of the process that runs them."""

from __future__ import annotations

import locale
import os
import random
import sys
import time

SERVER_ENVIRONMENT = {
    # Read once, when the libraries are loaded: too late for the process that wants them.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TZ": "UTC",
    "LC_ALL": "C",
}
"""What a process that runs workloads must be started with."""


def settle(seed: int) -> None:
    """One thread, fixed seeds, deterministic kernels, one time zone, one language; for the libraries loaded so far."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    locale.setlocale(locale.LC_ALL, "C")
    random.seed(seed)
    if "numpy" in sys.modules:
        import numpy

        numpy.random.seed(seed)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
        # A second call raises, even with the same number.
        if torch.get_num_interop_threads() != 1:
            torch.set_num_interop_threads(1)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=False)
