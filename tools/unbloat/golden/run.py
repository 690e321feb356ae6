"""One run of one workload against one tree, in the current process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import unbloat
from unbloat.errors import WorkloadError
from unbloat.golden.determinism import settle
from unbloat.golden.imports import CodeUnderTest, code_under_test, importable, is_beneath, load_file
from unbloat.golden.ledger import Ledger
from unbloat.golden.recorder import Recorder, describe_error
from unbloat.subject import Workload

_UNBLOAT = Path(unbloat.__file__).parent


def run_workload(tree: Path, workload: Workload, *, seed: int = 0, capture: frozenset[str] = frozenset()) -> Ledger:
    """Best called in a process of its own: seeds, thread counts and imported libraries stay behind.

    Seeds are set twice: importing may draw random numbers, and how much is imported depends on the process.
    """
    tree, file = _existing(tree, "tree"), _existing(workload.file, "workload file")
    code = code_under_test(tree, file)
    with _working_folder() as workdir, importable(code):
        recorder = Recorder(workload.name, workdir, capture=capture, private={tree: "<tree>"})
        with _explained(workload, code):
            settle(seed)
            function = _function(file, workload)
            settle(seed)
            taped = "torch" in sys.modules
            with recorder.observing():
                function(recorder)
        if "torch" in sys.modules and not taped:
            raise WorkloadError(
                f"workload '{workload.name}' imported torch only while it ran, so its operations were not observed; "
                f"preload torch, or import it at the top of {file}"
            )
        return recorder.ledger()


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise WorkloadError(f"there is no {what} {path}")
    return path.resolve()


@contextmanager
def _working_folder() -> Iterator[Path]:
    before = Path.cwd()
    workdir = Path(tempfile.mkdtemp(prefix="unbloat-")).resolve()
    os.chdir(workdir)
    try:
        yield workdir
    finally:
        os.chdir(before)
        shutil.rmtree(workdir)


def _function(file: Path, workload: Workload) -> Callable[[Recorder], object]:
    module = load_file(file, f"_unbloat_workload_{file.stem}")
    function = getattr(module, workload.function, None)
    if not callable(function):
        raise WorkloadError(f"{file} has no function '{workload.function}'")
    return function  # type: ignore[no-any-return]


@contextmanager
def _explained(workload: Workload, code: CodeUnderTest) -> Iterator[None]:
    try:
        yield
    except WorkloadError as error:
        raise WorkloadError(f"workload '{workload.name}': {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a library may say SystemExit, and a stripped tree has an error beside Exception
        at = _position(error, code)
        raise WorkloadError(f"workload '{workload.name}' raised {describe_error(error)}{at}") from error


def _position(error: BaseException, code: CodeUnderTest) -> str:
    """The innermost line of the subject or the workload; a line deep in a library explains little."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {code.short(Path(error.filename))}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame)]
    subject = [frame for frame in frames if code.holds(frame.filename)]
    for frame in reversed(subject or frames):
        return f" at {code.short(Path(frame.filename))}:{frame.lineno}"
    return ""


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return is_beneath(frame.filename, _UNBLOAT) or frame.filename.startswith("<frozen")
