"""How parameters get their first values: the calls that set them, and the values of models as they were recorded."""

from __future__ import annotations

from unbloat.integrity.report import Check, Section, Table, compared
from unbloat.integrity.reproduction import Reproduction
from unbloat.integrity.sections.calls import call_check, call_table, calls
from unbloat.integrity.watched import Watched

FILLS = frozenset(
    "uniform_ normal_ trunc_normal_ constant_ ones_ zeros_ eye_ dirac_ xavier_uniform_ xavier_normal_ kaiming_uniform_ "
    "kaiming_normal_ orthogonal_ sparse_ zero_ fill_ bernoulli_ exponential_ geometric_ log_normal_ cauchy_ random_ "
    "fill_diagonal_ copy_ reset_parameters".split()
)
"""Functions of `torch.nn.init`, and what a tensor does to itself in place."""


def initialisation(found: Reproduction, watched: Watched | None) -> Section:
    """Statically every call that fills a tensor; from the runs, mean, deviation and digest of every parameter."""
    rows = calls(found, lambda name: name.lstrip(".") in FILLS)
    checks = [call_check("calls that fill a tensor in place, in surviving functions: the same", rows)]
    tables = [call_table("Calls that fill a tensor in place", rows)]
    if watched is not None:
        checks.append(_values(watched))
        tables += _statistics(watched)
    return Section("Initialisation", tuple(checks), tuple(tables))


def _values(watched: Watched) -> Check:
    name = "values of each parameter and buffer of each recorded model: the same digest"
    if watched.waits_for:
        return Check(name, 0, (), watched.waits_for)
    pairs = [
        (f"{workload}/{model} {key}", digest, None if stripped is None else _digests(stripped, model).get(key))
        for workload, legacy, stripped in watched.both()
        for model in legacy["models"]
        for key, digest in _digests(legacy, model).items()
    ]
    return compared(name, pairs)


def _digests(run: dict[str, dict[str, list[dict[str, dict[str, dict[str, str]]]]]], model: str) -> dict[str, str]:
    return {
        f"{layer['path']}.{name}": tensor["digest"]
        for layer in run["models"].get(model, [])
        for kind in ("parameters", "buffers")
        for name, tensor in layer[kind].items()
    }


def _statistics(watched: Watched) -> list[Table]:
    header = ("parameter", "legacy: mean, deviation", "stripped: mean, deviation", "same digest")
    tables = []
    for workload, legacy, stripped in watched.both():
        for model, layers in legacy["models"].items():
            there = {} if stripped is None else {layer["path"]: layer for layer in stripped["models"].get(model, [])}
            rows = []
            for layer in layers:
                other = there.get(layer["path"], {"parameters": {}})["parameters"]
                for name, one in layer["parameters"].items():
                    new = other.get(name)
                    same = "–" if new is None else "yes" if new["digest"] == one["digest"] else "no"
                    rows.append((f"{layer['path']}.{name}".lstrip("."), _shown(one), "–" if new is None else _shown(new), same))
            tables.append(Table(f"Values of `{workload}/{model}`", header, tuple(rows)))
    return tables


def _shown(tensor: dict[str, str | None]) -> str:
    return "–" if tensor["mean"] is None else f"{tensor['mean']}, {tensor['deviation']}"
