"""What has to be installed for a bundle, in the versions that its goldens were recorded with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from unbloat.errors import SubjectError


@dataclass(frozen=True)
class Requirements:
    """`pins` are lines NAME==VERSION; `absent` are modules that nothing installed here offers, with who imports them."""

    pins: tuple[str, ...]
    absent: Mapping[str, str]

    def text(self) -> str:
        lines = ["# What this folder imports, in the versions that its goldens were recorded with."]
        lines += [f"# Not installed then, so no workload needs it: {name} ({file})" for name, file in self.absent.items()]
        return "\n".join([*lines, *self.pins]) + "\n"


def requirements(imports: Mapping[str, str], more: Iterable[str]) -> Requirements:
    """Pins for imported modules and for distributions that are needed without being imported.

    Raises:
        SubjectError: one of `more` is not installed.
    """
    offered = packages_distributions()
    names = {name for module in imports for name in offered.get(module, ())}
    pins = {name.lower().replace("_", "-"): pin(name) for name in [*names, *more]}
    absent = {module: file for module, file in imports.items() if module not in offered}
    return Requirements(tuple(pins[key] for key in sorted(pins)), absent)


def pin(name: str) -> str:
    """Without the part of a version that tells of the build, such as +cpu: another machine wants another one."""
    try:
        return f"{name}=={version(name).partition('+')[0]}"
    except PackageNotFoundError:
        raise SubjectError(f"[bundle] requires: {name!r} is not installed; install it, or leave it out") from None
