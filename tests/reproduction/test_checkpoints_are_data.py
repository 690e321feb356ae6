"""What a checkpoint holds beside tensors and plain values is never run, although the package itself would unpickle it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from .conftest import REPRODUCTION, forget_modules

TREES = ("legacy", "stripped")


class Code:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.mkdir, (self._folder,)


@pytest.mark.parametrize("tree", TREES)
def test_code_in_a_checkpoint_does_not_run(
    tree: str, module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    forget_modules()
    module("scripting").use_tree(tree)
    file, folder = tmp_path / "model.ckpt", tmp_path / "made"
    torch.save({"state_dict": {}, "hyper_parameters": Code(folder)}, file)
    module("champion_runs").champion_checkpoint()  # as the workloads do first
    factory = module("champion.utils.model_factory")
    assert Path(str(factory.__file__)).is_relative_to(REPRODUCTION / tree)
    with pytest.raises(pickle.UnpicklingError):
        factory.read_state_dict(file)
    assert not folder.exists()
