"""What a workload receives as `golden`: it writes down everything that has to stay the same."""

from __future__ import annotations

import math
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unbloat.errors import WorkloadError
from unbloat.golden import files, values
from unbloat.golden.leaf import Leaf, lines, text
from unbloat.golden.ledger import Entry, Ledger, digest_of
from unbloat.golden.sketch import sketch

if TYPE_CHECKING:
    import torch

    from unbloat.golden.tape import Tape

SMALL = 64
"""Values of up to this many elements are always kept, so that most differences can be shown at once."""

_LONGEST_MESSAGE = 1000
_SOURCE_POSITION = re.compile(r"(?:<\w+>|~)?(?:/[\w.+=@-]+)+\.pyc?(?::\d+)*|(?<=\bline )\d+|\b0x[0-9a-f]{6,}\b")


class Recorder:
    """Entries get their name from the workload; a name that comes again gets `#2`, `#3` and so on."""

    def __init__(
        self,
        workload: str,
        workdir: Path,
        *,
        capture: frozenset[str] = frozenset(),
        private: Mapping[Path, str] | None = None,
    ) -> None:
        """`private` folders differ between two runs of the same code; texts show their placeholder instead."""
        self.workdir = workdir
        self._workload = workload
        self._capture = capture
        self._private = {str(folder): shown for folder, shown in {workdir: "<workdir>", **(private or {})}.items()}
        self._entries: list[Entry] = []
        self._names: Counter[str] = Counter()
        self._tape: Tape | None = None

    def record(self, name: str, value: object) -> None:
        """Tensors, arrays, numbers, texts, None, paths, configs, and containers of these."""
        with self._aside():
            for leaf_name, leaf in values.leaves(name, value, self._publish):
                self._add(leaf_name, leaf)

    def rng(self, name: str) -> None:
        """The state of every global random number generator whose library is loaded."""
        with self._aside():
            self._add_rng(f"{name}.python", repr(random.getstate()).encode())
            if "numpy" in sys.modules:
                import numpy

                _, keys, *rest = numpy.random.get_state(legacy=True)
                self._add_rng(f"{name}.numpy", keys.tobytes() + repr(rest).encode())  # type: ignore[union-attr]
            if "torch" in sys.modules:
                import torch

                self._add_rng(f"{name}.torch", torch.get_rng_state().numpy().tobytes())

    def files(self, name: str, folder: Path) -> None:
        """Every file beneath the folder: its name, size and content, but no times."""
        if not folder.is_dir():
            raise WorkloadError(f"cannot record the files '{name}': there is no folder {folder}")
        found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
        self._add(name, lines("structure", sorted(found)))
        for relative in sorted(found):
            raw = files.content(found[relative], self._publish)
            self._add(f"{name}/{relative}", Leaf("file", "bytes", (len(raw),), raw, f"{len(raw)} bytes"))

    def model(self, name: str, module: torch.nn.Module) -> None:
        """Structure and values: state dict, tied tensors, parameter counts, buffers, train or eval of every part."""
        from unbloat.golden import torch_values

        with self._aside():
            for part, value in torch_values.model_facts(module):
                if isinstance(value, Leaf):
                    self._add(f"{name}.{part}", value)
                else:
                    self.record(f"{name}.{part}", value)

    def gradients(self, name: str, module: torch.nn.Module) -> None:
        """The gradient of every parameter, None where there is none."""
        from unbloat.golden import torch_values

        self.record(name, torch_values.gradients(module))

    def optimizer(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        """The state of every parameter and the options of every group."""
        from unbloat.golden import torch_values

        with self._aside():
            self.record(name, torch_values.optimizer_state(optimizer))

    @contextmanager
    def observing(self) -> Iterator[None]:
        """While the workload runs: its warnings, and its operations if torch is loaded."""
        with ExitStack() as stack:
            warned = stack.enter_context(warnings.catch_warnings(record=True))
            # The default shows a warning once per place, so it would depend on what ran before in this process.
            warnings.simplefilter("always")
            if "torch" in sys.modules:
                from unbloat.golden.tape import Tape

                self._tape = stack.enter_context(Tape(self._add))
            yield
        if self._tape is not None:
            self._tape.finish()
            self._tape = None
        self._add_warnings(warned)

    def ledger(self) -> Ledger:
        return Ledger(self._workload, tuple(self._entries))

    @contextmanager
    def _aside(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self._tape is not None:
                import torch

                stack.enter_context(self._tape.aside())
                stack.enter_context(torch.no_grad())
            yield

    def _add(self, name: str, leaf: Leaf) -> None:
        self._names[name] += 1
        if self._names[name] > 1:
            name = f"{name}#{self._names[name]}"
        small = math.prod(leaf.shape) <= SMALL
        keep = small or self._is_captured(name)
        self._entries.append(
            Entry(
                name=name,
                kind=leaf.kind,
                dtype=leaf.dtype,
                shape=leaf.shape,
                digest=digest_of(leaf.dtype, leaf.shape, leaf.raw),
                preview=leaf.preview,
                values=bytes(leaf.raw) if keep else None,
                sketch=None if small else sketch(leaf.dtype, leaf.raw),
            )
        )

    def _add_rng(self, name: str, state: bytes) -> None:
        self._add(name, Leaf("rng", "state", (len(state),), state, f"{len(state)} bytes of state"))

    def _is_captured(self, name: str) -> bool:
        return any(name == wanted or name.startswith(tuple(wanted + mark for mark in ".[/")) for wanted in self._capture)

    def _add_warnings(self, warned: Sequence[warnings.WarningMessage]) -> None:
        self._add("warnings", Leaf("warning", "count", (), str(len(warned)).encode(), f"{len(warned)} warnings"))
        for index, warning in enumerate(warned):
            shown = _SOURCE_POSITION.sub("?", self._publish(f"{warning.category.__name__}: {warning.message}"))
            leaf = text(shown)
            self._add(f"warnings[{index}]", Leaf("warning", leaf.dtype, leaf.shape, leaf.raw, leaf.preview))

    def _publish(self, shown: str) -> str:
        for folder, placeholder in self._private.items():
            shown = shown.replace(folder, placeholder)
        return shown


def describe_error(error: BaseException) -> str:
    """An exception in one line. Whole, as what to do usually comes last, unless it shows a whole array or the like."""
    message = " ".join(str(error).split())
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + "…"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
