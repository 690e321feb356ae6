"""What the bits of a result depend on besides the code: stored with a golden, so that a mismatch can be explained."""

from __future__ import annotations

import enum
import hashlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

_DISTRIBUTIONS = ("torch", "numpy", "pytorch-lightning", "lightning", "omegaconf", "hydra-core")
_CODE_PATHS = (
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)
"""Variables by which numerical libraries are told to use other instructions than the processor's best."""


class Lane(enum.Enum):
    """How a golden is compared with a run."""

    SAME_MACHINE = "every bit is equal"
    ACROSS_MACHINES = "what is discrete is equal, floating values are close"


def environment() -> dict[str, str]:
    """Asked in the process that runs workloads: thread counts and processor features are properties of a process."""
    facts = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "processor": _processor(),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "omp_threads": os.environ.get("OMP_NUM_THREADS", "unset"),
    }
    facts |= {name: os.environ[name] for name in _CODE_PATHS if os.environ.get(name)}
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
    """Its name, and a digest of its features: virtual machines give the same name to several kinds."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or "unknown"
    first, *_ = cpuinfo.read_text().split("\n\n", 1)
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    kind = [facts.get(key, "") for key in ("vendor_id", "cpu family", "model", "stepping", "flags", "Features")]
    return f"{facts.get('model name', platform.machine())} {hashlib.sha256(repr(kind).encode()).hexdigest()[:8]}"
