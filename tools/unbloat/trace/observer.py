"""In a run's own process: writes down every operation and every recorded value, in the order in which they come.

The options are `tree`, `workload` (its file), `aliases` as `aliased` wants them, and `file`, to which the trace goes even if
the run fails. With a `number` the values of that step go there instead, and the run ends with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from unbloat.golden.imports import code_under_test
from unbloat.golden.leaf import Leaf
from unbloat.golden.recorder import Recorder
from unbloat.trace.log import Log
from unbloat.trace.records import RECORDING
from unbloat.trace.whereabouts import Stack
from unbloat.verify.aliased import Nothing, aliased


@contextmanager
def traced(options: Mapping[str, Any]) -> Iterator[Nothing]:
    """What a run leaves behind is in the file: a run that fails has no result to hand over."""
    log = Log(Path(options["file"]), options.get("number"))
    stack = Stack(code_under_test(Path(options["tree"]), Path(options["workload"])))
    observing, add = Recorder.observing, Recorder._add

    @contextmanager
    def observing_operations(recorder: Recorder) -> Iterator[None]:
        # Entered here and not at once: as the tape, it sees the workload and not what is imported for it.
        with ExitStack() as watching:
            if "torch" in sys.modules:
                from unbloat.trace.mode import watched

                watching.enter_context(watched(log, stack))
            with observing(recorder):
                yield

    def add_recorded(recorder: Recorder, name: str, leaf: Leaf) -> None:
        add(recorder, name, leaf)
        if leaf.kind == "tape":
            return
        if not log.asks():
            log.skip()
        else:
            note = log.note(RECORDING)
            # The recorder knows how often a name has come.
            note.arguments = recorder._entries[-1].name
            note.take([leaf], "", -1)
            note.give([leaf], "")
            log.add(note, stack.recording())

    with (
        mock.patch.object(Recorder, "observing", observing_operations),
        mock.patch.object(Recorder, "_add", add_recorded),
        aliased(options["aliases"]) as nothing,
    ):
        try:
            yield nothing
        finally:
            log.save()
