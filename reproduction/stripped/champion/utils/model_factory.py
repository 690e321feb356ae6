"""Build the trainer module from a config, with or without weights."""

from .. import pinned
from ..pinned import forbid as unbloat_forbid

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

import torch
import torch.nn as nn
from omegaconf import OmegaConf

from .logging_config import setup_logging

logger = setup_logging(__name__)


def create_transformer_trainer(config: Any, checkpoint_path: Optional[Union[str, Path]] = None) -> nn.Module:
    """
    A TransformerTrainer for ``config``, with the weights of ``checkpoint_path`` if there is such a file.

    A path that does not exist only warns: an untrained model is what smoke tests ask for. How much of a
    checkpoint has to fit is set by training.checkpoint_guard.

    [INFERRED] Known is the module's name and that the fine-tuner builds its base model with it.
    """
    pinned.check(config)
    # the trainer imports half of the package, and some of that imports this module
    from ..model.trainer import TransformerTrainer

    trainer = TransformerTrainer(config)
    unbloat_forbid(checkpoint_path is None, "champion/utils/model_factory.py:29")
    path = Path(checkpoint_path)
    unbloat_forbid(not path.is_file(), "champion/utils/model_factory.py:32-33")
    load_weights(
        trainer,
        read_state_dict(path),
        min_matched_param_ratio=float(
            OmegaConf.select(config, "training.checkpoint_guard.min_matched_param_ratio", default=0.0)
        ),
    )
    return trainer


def read_state_dict(path: Union[str, Path]) -> Dict[str, torch.Tensor]:
    """The tensors of a Lightning checkpoint, or of a bare state dict."""
    # our own files: hyper-parameters in them are OmegaConf objects, which weights_only refuses
    content = torch.load(path, map_location="cpu", weights_only=False)
    state = content.get("state_dict", content)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def load_weights(
    module: nn.Module,
    state: Mapping[str, torch.Tensor],
    min_matched_param_ratio: float = 0.0,
) -> float:
    """
    Load what fits and return the share of the module's values that were found.

    Args:
        min_matched_param_ratio: a smaller share raises
        verify_shapes: True raises on a tensor of another shape, False skips it
    """
    own = module.state_dict()
    known = {name: value for name, value in state.items() if name in own}
    wrong = sorted(name for name, value in known.items() if value.shape != own[name].shape)
    if wrong:
        raise ValueError(f"shapes differ from the checkpoint: {', '.join(wrong)}")
    matched = {name: value for name, value in known.items() if name not in wrong}
    total = sum(value.numel() for value in own.values())
    ratio = sum(value.numel() for value in matched.values()) / total if total else 1.0
    if ratio < min_matched_param_ratio:
        raise ValueError(
            f"only {ratio:.1%} of the parameters are in the checkpoint, need {min_matched_param_ratio:.1%}"
        )
    module.load_state_dict(matched, strict=False)
    return ratio
