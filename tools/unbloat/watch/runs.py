"""One thing at a time beside the loop, which stays free to notice the next save."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

from unbloat.verify.server import Server

Result = TypeVar("Result")

_PATIENCE = 0.2


class Runs(Generic[Result]):
    """A context manager; leaving it ends what is under way."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[Result] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.cancel()
        self._thread.shutdown()

    @property
    def busy(self) -> bool:
        return self._under_way is not None

    def start(self, job: Callable[[], Result]) -> None:
        """Only if nothing is under way. The job uses the server for all that takes time."""
        assert self._under_way is None
        self._under_way = self._thread.submit(job)

    def result(self) -> Result | None:
        """What the job came to, None while it is under way; raises what the job raised."""
        if self._under_way is None or not self._under_way.done():
            return None
        done, self._under_way = self._under_way, None
        return done.result()

    def cancel(self) -> None:
        """What is under way is of no interest any more."""
        while self._under_way is not None and not self._under_way.done():
            self._server.cancel()
            wait([self._under_way], _PATIENCE)  # A job of several runs may have been between two of them.
        self._under_way = None
