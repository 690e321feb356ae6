"""Turns what a workload hands over into leaves: typed bytes that can be compared without the objects they came from.

Nothing here imports numpy or torch: a package that uses neither is recorded without either.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from unbloat.errors import WorkloadError
from unbloat.golden.leaf import PREVIEW_WIDTH, PREVIEWED_ELEMENTS, Leaf, Named, Publish, first_elements, lines, shortened, text


def leaves(name: str, value: object, publish: Publish, inside: frozenset[int] = frozenset()) -> Named:
    """The value's leaves with their names, in order; a container adds one leaf that holds its structure."""
    if id(value) in inside:
        raise WorkloadError(f"cannot record '{name}': it contains itself; record the parts that matter")
    scalar = _scalar(value, publish)
    if scalar is not None:
        yield name, scalar
        return
    # Library types come first: numpy scalars are Python floats too, torch sizes are tuples.
    yield from _from_library(name, value) or _container(name, value, publish, inside | {id(value)})


def _scalar(value: object, publish: Publish) -> Leaf | None:
    if _is_numpy(value):
        return None
    match value:
        case None:
            return Leaf("scalar", "none", (), b"", "None")
        case bool():
            return Leaf("scalar", "bool", (), bytes([value]), repr(value))
        case int():
            return Leaf("scalar", "int", (), int.__repr__(value).encode(), shortened(int.__repr__(value)))
        case float():
            return Leaf("scalar", "float", (), struct.pack("<d", value), repr(value))
        case complex():
            return Leaf("scalar", "complex", (), struct.pack("<dd", value.real, value.imag), repr(value))
        case str():
            return text(publish(str.__str__(value)))
        case bytes() | bytearray():
            return Leaf("bytes", "bytes", (len(value),), bytes(value), shortened(repr(bytes(value[:PREVIEW_WIDTH]))))
        case PurePath():
            return text(publish(value.as_posix()), "path")
        case _:
            return None


def _is_numpy(value: object) -> bool:
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)


def _from_library(name: str, value: object) -> Named | None:
    if _is_numpy(value):
        return iter([(name, _array(name, value))])
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(value, torch.Tensor):
        from unbloat.golden import torch_values

        return torch_values.tensor_leaves(name, value)
    if isinstance(value, torch.dtype | torch.device):
        return iter([(name, text(str(value), type(value).__name__))])
    return None


def _array(name: str, value: Any) -> Leaf:
    numpy: Any = sys.modules["numpy"]
    if value.dtype.hasobject or type(value).__name__ == "MaskedArray":
        what = "an array of Python objects" if value.dtype.hasobject else "a masked array"
        raise WorkloadError(f"cannot record '{name}': {what} has no defined bytes; record its plain parts")
    little = value.dtype.newbyteorder("<")
    array = numpy.ascontiguousarray(value, dtype=little)
    dtype = little.name if little.kind in "biufc" else little.str
    kind = "scalar" if isinstance(value, numpy.generic) else "array"
    preview = first_elements(array.reshape(-1)[:PREVIEWED_ELEMENTS].tolist(), value.size)
    return Leaf(kind, dtype, tuple(value.shape), array.tobytes(), preview)


def _container(name: str, value: Any, publish: Publish, inside: frozenset[int]) -> Named:
    value_type, value = type(value).__name__, _plain(value)
    match value:
        case dict():
            _only_plain_keys(name, value)
            keys = [publish(repr(key)) for key in value]
            parts = [(f"{name}[{key}]" if isinstance(key, int) else f"{name}.{publish(key)}", value[key]) for key in value]
        case tuple() if hasattr(value, "_fields"):
            keys = list(value._fields)
            parts = [(f"{name}.{field}", part) for field, part in zip(keys, value, strict=True)]
        case list() | tuple():
            keys = [f"{len(value)} items"]
            parts = [(f"{name}[{index}]", part) for index, part in enumerate(value)]
        case set() | frozenset():
            keys = [f"{len(value)} items"]
            ordered = sorted(value, key=lambda part: (type(part).__name__, repr(part)))
            parts = [(f"{name}[{index}]", part) for index, part in enumerate(ordered)]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            keys = [field.name for field in dataclasses.fields(value)]
            parts = [(f"{name}.{field}", getattr(value, field)) for field in keys]
        case _:
            raise WorkloadError(_unsupported(name, value))
    yield name, lines("structure", [value_type, *keys], f"{value_type}: {', '.join(keys)}")
    for part_name, part in parts:
        yield from leaves(part_name, part, publish, inside)


def _plain(value: Any) -> Any:
    omegaconf: Any = sys.modules.get("omegaconf")
    if omegaconf is not None and isinstance(value, omegaconf.DictConfig | omegaconf.ListConfig):
        return omegaconf.OmegaConf.to_container(value, resolve=True, throw_on_missing=False, enum_to_str=True)
    return value


def _only_plain_keys(name: str, value: Mapping[Any, object]) -> None:
    for key in value:
        if not isinstance(key, str | int):
            raise WorkloadError(
                f"cannot record '{name}': it has the key {key!r} of type {type(key).__name__}; "
                "record a dict whose keys are text or whole numbers"
            )


def _unsupported(name: str, value: object) -> str:
    module, kind = type(value).__module__, type(value).__qualname__
    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module):
        advice = "use golden.model(name, module)"
    elif torch is not None and isinstance(value, torch.optim.Optimizer):
        advice = "use golden.optimizer(name, optimizer)"
    else:
        advice = "record the tensors, numbers or texts in it"
    return f"cannot record '{name}': a ledger holds nothing of type {module}.{kind}; {advice}"
