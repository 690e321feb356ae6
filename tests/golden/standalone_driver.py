"""Runs in a bundle's folder, in an interpreter that can import only what the bundle says it requires.

`driver.py FORBIDDEN... -- run SCRIPT ARGUMENTS... -- SCRIPT ARGUMENTS...` runs scripts of the bundle; `... -- workloads OUT
NAMES...` runs golden workloads that lie beside it and writes what they recorded.
"""

import importlib.abc
import importlib.metadata
import io
import os
import re
import runpy
import sys
import tempfile
from contextlib import chdir
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SEED = 42


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def required():
    """The modules of the distributions in requirements.txt, and of those that they require themselves."""
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    pending = [line.partition("==")[0] for line in lines if line and not line.startswith("#")]
    distributions = set()
    while pending:
        name = normal(pending.pop())
        if name in distributions:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        distributions.add(name)
        pending += [re.match(r"[\w.-]+", need)[0] for need in needs if "extra ==" not in need]
    offered = importlib.metadata.packages_distributions().items()
    return {module for module, names in offered if distributions & {normal(name) for name in names}}


class OnlyRequired(importlib.abc.MetaPathFinder):
    """In place of the path finder: what is installed and not required is not there."""

    def __init__(self):
        self.allowed = {*sys.stdlib_module_names, *required(), *(path.stem for path in FOLDER.iterdir())}

    def find_spec(self, name, path=None, target=None):
        own = name in self.allowed or name.startswith("_sysconfigdata")  # of the standard library, named after the platform
        return PathFinder.find_spec(name, path, target) if own or path is not None else None


def forbid(folders):
    def audit(event, arguments):
        if event == "open" and isinstance(arguments[0], str):
            opened = os.path.realpath(arguments[0])
            if any(opened.startswith(f"{folder}{os.sep}") for folder in folders):
                raise PermissionError(f"a bundle may not read {opened}")

    sys.addaudithook(audit)


class Recorder:
    """Keeps what a workload records, as it is at that moment."""

    def __init__(self, workdir):
        self.workdir = workdir
        self.found = []

    def record(self, name, value):
        import torch

        content = io.BytesIO()
        torch.save(value, content)
        self.found.append((name, content.getvalue()))

    def gradients(self, name, module):
        self.record(name, {key: parameter.grad for key, parameter in module.named_parameters()})

    def model(self, name, module):
        self.record(f"{name}.parameters", sum(parameter.numel() for parameter in module.parameters()))

    def rng(self, name):
        """Whatever is drawn differently shows in the values."""

    files = optimizer = lambda self, name, thing: None


def workloads(out, names):
    import pytorch_lightning
    import torch
    import workloads

    assert pytorch_lightning
    found = {}
    for name in names:
        torch.set_num_threads(1)
        torch.manual_seed(SEED)
        torch.use_deterministic_algorithms(True)
        with tempfile.TemporaryDirectory() as temporary, chdir(temporary):
            recorder = Recorder(Path(temporary).resolve())
            getattr(workloads, name)(recorder)
        found[name] = str(recorder.workdir), recorder.found
    torch.save(found, out)


def main(arguments):
    split = arguments.index("--")
    forbid(arguments[:split])
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, OnlyRequired()]
    sys.path.insert(0, str(FOLDER))
    what, *rest = arguments[split + 1 :]
    if what == "workloads":
        workloads(rest[0], rest[1:])
        return
    while rest:
        end = rest.index("--") if "--" in rest else len(rest)
        sys.argv, rest = rest[:end], rest[end + 1 :]
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            if ended.code not in (0, 1):  # 1: two steps need not make a loss fall
                raise


if __name__ == "__main__":
    main(sys.argv[1:])
