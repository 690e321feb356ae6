"""In an observed run: the expressions while which torch computes something."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from unbloat.evidence.places import Place, Places
from unbloat.golden.tape import unchanged


class NoteOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes, beneath autograd, from where each operation is called, and hands it on."""

    def __init__(self, places: Places, found: set[Place]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._places = places
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace != "profiler":  # its markers are on no tape
            self._found.update(self._places.under_way())
        return unchanged(func, args, kwargs)
