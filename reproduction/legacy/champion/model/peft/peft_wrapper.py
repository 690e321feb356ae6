"""Adapters around a task model: what the fine-tuner trains and saves instead of the whole model."""
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple, Union

import torch
import torch.nn as nn

from champion.model.peft.lora_linear import LoRALinear

TARGETS = ("linear1", "linear2", "context_integration.0", "context_to_tgt_bias")


def _linears(model: nn.Module, targets) -> Iterator[Tuple[nn.Module, str, str, nn.Linear]]:
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and any(path == t or path.endswith("." + t) for t in targets):
            parent_path, _, name = path.rpartition(".")
            yield model.get_submodule(parent_path), name, path, module


def wrap_with_lora(model: nn.Module, cfg: Any, targets=TARGETS) -> List[str]:
    """
    Freeze ``model`` and put a LoRALinear around every linear layer whose path ends in one of ``targets``.

    ``cfg`` is model.lora: nothing happens unless ``use_lora``. The rank of an adapter is ``rank``, cut to
    ``in_features``, ``out_features`` and the sides of the layer. Returns the wrapped paths. [INFERRED] the two
    sizes as bounds of the rank; alternative: the exact sizes of the only layers that get an adapter.
    """
    if not cfg.use_lora:
        return []
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    wrapped = []
    for parent, name, path, layer in _linears(model, targets):
        rank = min(int(cfg.rank), int(cfg.in_features), int(cfg.out_features), layer.in_features, layer.out_features)
        setattr(parent, name, LoRALinear(layer, rank, alpha=float(rank)))
        wrapped.append(path)
    if not wrapped:
        raise ValueError(f"no linear layer of the model ends in one of {tuple(targets)}")
    return wrapped


def adapter_state(model: nn.Module) -> Dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items() if k.endswith(("lora_a", "lora_b"))}


def save_adapters(model: nn.Module, path: Union[str, Path]) -> int:
    """Write the adapters only; returns how many numbers that are."""
    state = adapter_state(model)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return sum(t.numel() for t in state.values())


def load_adapters(model: nn.Module, path: Union[str, Path]) -> None:
    """Into a model wrapped the same way."""
    state = torch.load(path, weights_only=True)
    own = adapter_state(model)
    if set(own) != set(state):
        raise KeyError(f"adapters of another model: {sorted(set(own) ^ set(state))[:4]}")
    model.load_state_dict(state, strict=False)


def merge_adapters(model: nn.Module) -> int:
    """Fold every adapter into its layer for inference; returns how many."""
    found = [(path, m) for path, m in model.named_modules() if isinstance(m, LoRALinear)]
    for path, module in found:
        parent_path, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent_path), name, module.merged())
    return len(found)
