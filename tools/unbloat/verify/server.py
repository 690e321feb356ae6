"""The caller's side of the warm process: every run is a fork of it, which takes milliseconds instead of seconds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import unbloat
from unbloat.errors import WorkloadError
from unbloat.golden.determinism import SERVER_ENVIRONMENT
from unbloat.golden.ledger import Ledger
from unbloat.subject import Workload
from unbloat.verify.child import OUTPUT, RESULT
from unbloat.verify.outcome import Failed, Recorded, Request, Run

SHOWN_LINES = 20
_GRACE = 10.0


class Server:
    """A context manager. It is one process of its own, so nothing that the caller has imported leaks into a run."""

    def __init__(self, preload: Sequence[str], forbidden: Sequence[Path] = ()) -> None:
        """`preload`: third-party modules; `forbidden`: folders that no run may read, besides those of a request."""
        self._preload = tuple(preload)
        self._forbidden = tuple(forbidden)
        self._runs = 0
        self.environment: dict[str, str] = {}
        """What the results depend on besides the code, as seen in the warm process."""

    def __enter__(self) -> Self:
        # Not in a subfolder of the caller's: nothing on the way may be a package or a project of the user's.
        self._folder = Path(tempfile.mkdtemp(prefix="unbloat-server-")).resolve()
        self.candidates.mkdir()
        with (self._folder / OUTPUT).open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "unbloat.verify.warm_process", str(self._folder), *self._preload],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=self._folder,
                env=_environment(),
                # Ctrl-C is for the caller, who then ends the server in an orderly way.
                start_new_session=True,
            )
        try:
            self._await_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._stop()

    @property
    def candidates(self) -> Path:
        """A folder for trees to run; the warm process removes it even if its caller was killed."""
        return self._folder / "candidates"

    def run(
        self,
        tree: Path,
        workload: Workload,
        *,
        forbidden: Sequence[Path] = (),
        capture: frozenset[str] = frozenset(),
        seed: int = 0,
        observer: str | None = None,
        observer_options: Mapping[str, Any] | None = None,
    ) -> Run:
        """One run; see `Request` for the arguments."""
        request = Request(tree, workload, tuple(forbidden), capture, seed, observer, observer_options or {})
        return self.run_many([request])[0]

    def run_many(self, requests: Sequence[Request], *, at_once: int | None = None) -> list[Run]:
        """Outcomes in the order of the requests; two at a time unless told otherwise or there is one processor."""
        limit = at_once or min(os.cpu_count() or 1, 2)
        waiting = list(enumerate(requests))
        under_way: dict[int, tuple[int, Request]] = {}
        outcomes: dict[int, Run] = {}
        while len(outcomes) < len(requests):
            while waiting and len(under_way) < limit:
                position, request = waiting.pop(0)
                under_way[self._send(request)] = position, request
            reply = self._receive()
            if reply.get("number") not in under_way:
                continue  # A run that an interrupted caller no longer waits for.
            position, request = under_way.pop(reply["number"])
            outcomes[position] = self._outcome(request, reply)
        return [outcomes[position] for position in range(len(requests))]

    def cancel(self) -> None:
        """End whatever runs now: its outcome is that it failed. For another thread than the one that waits for it."""
        self._tell({"cancel": True})

    def _send(self, request: Request) -> int:
        self._runs += 1
        folder = self._run_folder(self._runs)
        folder.mkdir()
        fields = request.to_json()
        fields["forbidden"] += [str(folder.resolve()) for folder in self._forbidden]
        self._tell({"number": self._runs, "folder": str(folder), "request": fields})
        return self._runs

    def _tell(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        message: dict[str, Any] = json.loads(line)
        return message

    def _await_ready(self) -> None:
        importing = "unbloat"
        while True:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            message = json.loads(line) if line else {}
            if "ready" in message:
                self.environment = message["ready"]
                return
            if "refused" in message:
                raise WorkloadError(message["refused"])
            if not message:
                last = _last_lines(self._folder / OUTPUT, 1) or f"it ended with status {self._process.wait(_GRACE)}"
                raise WorkloadError(f"cannot preload '{importing}': {last}")
            importing = message["importing"]

    def _outcome(self, request: Request, reply: Mapping[str, Any]) -> Run:
        folder = self._run_folder(reply["number"])
        name, seconds = request.workload.name, reply.get("seconds", 0.0)
        output = _last_lines(folder / OUTPUT, SHOWN_LINES)
        result = json.loads((folder / RESULT).read_text()) if (folder / RESULT).exists() else None
        shutil.rmtree(folder, ignore_errors=True)
        if "refused" in reply:
            return Failed(reply["refused"], seconds, output)
        if reply["timed_out"]:
            return Failed(f"workload '{name}' took longer than {request.workload.limit:g} seconds", seconds, output)
        if result is None or reply["status"] != 0:
            return Failed(f"workload '{name}' {_ending(reply['status'], output)}", seconds, output)
        if "failed" in result:
            return Failed(result["failed"], seconds, output)
        return Recorded(Ledger.from_json(result["ledger"]), seconds, result["extra"])

    def _run_folder(self, number: int) -> Path:
        # Of one length: files that hold the name of the working folder hold its length too.
        return self._folder / f"run-{number:06}"

    def _died(self) -> WorkloadError:
        self._process.wait(_GRACE)
        last = _last_lines(self._folder / OUTPUT, 1) or "it printed nothing"
        return WorkloadError(f"the warm process ended with status {self._process.returncode}: {last}")

    def _stop(self) -> None:
        """The end of its input tells the process to kill what it runs and to leave."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    """The caller's, but for what decides about numbers and for how Python was started."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    libraries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [Path(unbloat.__file__).parents[1], *(Path(entry).resolve() for entry in libraries)]
    return {**inherited, **SERVER_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(map(str, path))}


def _ending(status: int, output: str) -> str:
    if status < 0:
        return f"was ended by signal {-status} ({signal.strsignal(-status)})"
    if status == 0:
        return "left its process before it returned"
    last = output.rpartition("\n")[2]
    return f"left its process with status {status}" + (f": {last}" if last else "")


def _last_lines(file: Path, count: int) -> str:
    if not file.exists():
        return ""
    return "\n".join(file.read_text(errors="replace").rstrip().splitlines()[-count:])
