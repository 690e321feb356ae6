"""What the bits of a result depend on besides the code: stored with a golden, so that a mismatch can be explained."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

_DISTRIBUTIONS = ("torch", "numpy", "pytorch-lightning", "lightning", "omegaconf", "hydra-core")


def environment() -> dict[str, str]:
    """Asked in the process that runs workloads: thread counts and processor features are properties of a process."""
    facts = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()} {platform.libc_ver()[0]}".strip(),
        "processor": _processor(),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "omp_threads": os.environ.get("OMP_NUM_THREADS", "unset"),
    }
    for name in _DISTRIBUTIONS:
        for distribution in importlib.metadata.distributions(name=name):
            facts[name] = distribution.version
            break
    if "torch" in sys.modules:
        import torch

        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        facts["torch_threads"] = str(torch.get_num_threads())
    return facts


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
