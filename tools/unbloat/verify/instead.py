"""In a run's own process: legacy names lead to what they are called now, and whoever opens one file reads another."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from unbloat.verify.aliased import Nothing, aliased


@contextmanager
def swapped(options: Mapping[str, Any]) -> Iterator[Nothing]:
    """An observer in name: the options are those of `aliased`, and may say which `file` and which `instead`."""
    file = os.path.realpath(options["file"]) if "file" in options else None
    original = builtins.open

    def opened(name: Any, *arguments: Any, **others: Any) -> Any:
        same = file is not None and isinstance(name, str | os.PathLike) and os.path.realpath(name) == file
        return original(options["instead"] if same else name, *arguments, **others)

    with mock.patch.object(builtins, "open", opened), mock.patch.object(io, "open", opened), aliased(options) as nothing:
        yield nothing
