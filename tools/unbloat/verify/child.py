"""What a forked process does: one run, its result in a file, and nothing of it anywhere else."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import io
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, Protocol

import unbloat
from unbloat.errors import WorkloadError
from unbloat.golden.imports import is_beneath
from unbloat.golden.run import run_workload
from unbloat.verify.isolation import forbid
from unbloat.verify.outcome import Request

_UNBLOAT = Path(unbloat.__file__).parent
OUTPUT, RESULT = "output.txt", "result.json"
_PR_SET_PDEATHSIG = 1


class Observed(Protocol):
    def result(self) -> Any: ...


def run_and_exit(request: Request, folder: Path, parent: int, pipes: Sequence[int]) -> NoReturn:
    """Never returns into the server's loop, whatever happens. `pipes` are the server's, of no use here."""
    status = 1
    try:
        _detach(folder, parent)
        for pipe in pipes:
            os.close(pipe)
        _write(folder, _outcome(request))
        status = 0
    finally:
        if status:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _detach(folder: Path, parent: int) -> None:
    os.setpgid(0, 0)
    _die_with(parent)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    output = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    # What was printed before a crash is what explains it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    faulthandler.enable()
    # Whatever a killed run leaves behind lies in the folder that the caller removes.
    tempfile.tempdir = str(folder)
    os.environ["TMPDIR"] = str(folder)


def _die_with(parent: int) -> None:
    """If the server is killed, so is the run; only Linux offers that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _outcome(request: Request) -> dict[str, Any]:
    isolation = forbid(request.forbidden)
    try:
        isolation.assert_kept()
        with _observer(request) as observed:
            ledger = run_workload(request.tree, request.workload, seed=request.seed, capture=request.capture)
        isolation.assert_kept()
    except WorkloadError as error:
        traceback.print_exception(_from_the_user_on(error.__cause__ or error))
        return {"failed": str(error)}
    return {"ledger": ledger.to_json(), "extra": {} if observed is None else observed.result()}


def _from_the_user_on(error: BaseException) -> BaseException:
    """With the user's own traceback; how unbloat came there explains nothing."""
    own = error.__traceback__
    while own is not None and is_beneath(own.tb_frame.f_code.co_filename, _UNBLOAT):
        own = own.tb_next
    return error.with_traceback(own or error.__traceback__)


def _observer(request: Request) -> AbstractContextManager[Observed | None]:
    if request.observer is None:
        return contextlib.nullcontext()
    module, _, function = request.observer.partition(":")
    enclosing: AbstractContextManager[Observed] = getattr(importlib.import_module(module), function)(
        dict(request.observer_options)
    )
    return enclosing


def _write(folder: Path, outcome: dict[str, Any]) -> None:
    """Under its final name only when complete: its presence says that the run came to its end."""
    draft = folder / f"{RESULT}.draft"
    draft.write_text(json.dumps(outcome))
    draft.replace(folder / RESULT)
