"""What only torch objects have: tensors of every layout, models, gradients, optimizers.

Imported only once torch is loaded by somebody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch

from unbloat.errors import WorkloadError
from unbloat.golden.leaf import PREVIEWED_ELEMENTS, Leaf, Named, first_elements, lines

_SPARSE_PARTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def tensor_leaves(name: str, tensor: torch.Tensor) -> Named:
    odd = "meta" if tensor.is_meta else "quantized" if tensor.is_quantized else "nested" if tensor.is_nested else ""
    if odd or tensor.layout not in (torch.strided, *_SPARSE_PARTS):
        raise WorkloadError(
            f"cannot record '{name}': a tensor that is {odd or tensor.layout} has no plain bytes; record a dense copy"
        )
    if tensor.layout is torch.strided:
        yield name, _dense(tensor)
        return
    header = [str(tensor.layout), dtype_name(tensor), str(tuple(tensor.shape))]
    if tensor.layout is torch.sparse_coo:
        header.append(f"coalesced={tensor.is_coalesced()}")
    yield name, lines("structure", header)
    for part in _SPARSE_PARTS[tensor.layout]:
        yield f"{name}.{part.lstrip('_')}", _dense(getattr(tensor.detach(), part)())


def dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _dense(tensor: torch.Tensor) -> Leaf:
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    raw = flat.view(torch.uint8).numpy() if flat.numel() else b""
    preview = first_elements(flat[:PREVIEWED_ELEMENTS].tolist(), flat.numel())
    return Leaf("tensor", dtype_name(tensor), tuple(tensor.shape), raw, preview)


def model_facts(module: torch.nn.Module) -> Iterator[tuple[str, object]]:
    """Named parts of a model; leaves are used as they are, everything else is recorded as any other value."""
    state = module.state_dict()
    yield "keys", lines("structure", [_described(key, value) for key, value in state.items()])
    yield "tied", [list(group) for group in _tied(module)]
    parameters = list(module.named_parameters())
    yield "parameters", sum(parameter.numel() for _, parameter in parameters)
    yield "trainable", sum(parameter.numel() for _, parameter in parameters if parameter.requires_grad)
    yield "frozen", lines("structure", [name for name, parameter in parameters if not parameter.requires_grad])
    modes = [f"{name or '(root)'}: {'train' if part.training else 'eval'}" for name, part in module.named_modules()]
    yield "modes", lines("structure", modes)
    buffers = dict(module.named_buffers())
    yield "buffers", lines("structure", [_described(key, value) for key, value in buffers.items()])
    # A buffer that is not persistent is missing from the state dict, yet the forward pass reads it.
    yield "state", {**state, **{key: value for key, value in buffers.items() if key not in state}}


def _described(key: str, value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{key}: {dtype_name(value)}{list(value.shape)}"
    return f"{key}: {type(value).__name__}"


def _tied(module: torch.nn.Module) -> list[tuple[str, ...]]:
    tensors: dict[int, list[str]] = defaultdict(list)
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, tensor in named:
        if tensor.numel() and tensor.layout is torch.strided:
            tensors[tensor.data_ptr()].append(name)
    return [tuple(names) for names in tensors.values() if len(names) > 1]


def gradients(module: torch.nn.Module) -> dict[str, torch.Tensor | None]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Parameters are counted, not listed: their numbers are positions, and their values belong to the model."""
    state = optimizer.state_dict()
    groups = [{**group, "params": len(group["params"])} for group in state["param_groups"]]
    return {"groups": groups, "state": state["state"]}
