"""In the process of a run: lets one change in, or, without a change, writes down where changes could come in.

Nothing on disk is touched. A config file is changed where its text turns into data (`OmegaConf.load` goes through YAML's
`load`, `json.load` through `loads`), an argument, and a config that is in no file, where the user's own code hands it over.
So the same change reaches any tree, whatever became of the names inside it.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from unbloat.challenge.handed_configs import HandedConfigs, joined, put
from unbloat.challenge.user_calls import UserCalls

_LOADERS = (("yaml", "load"), ("json", "loads"))


class Injection:
    """What came in, and what could have."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._text: str | None = options["text"]
        self._change: Mapping[str, Any] = options["change"] or {}
        self._of_config = self._change.get("kind") == "config"
        change = self._change if self._of_config else None
        self._configs = HandedConfigs(change, options["parameters"], containers=self._text is None)
        self._in_file = self._text is not None and self._of_config and not self._change["handed"]
        self._at_calls = not self._in_file and self._change.get("kind") != "environment"
        self._calls = UserCalls(options["package"], options["tree"], options["files"], self._change, self._configs)
        self._applied = 0
        self._config: Any = None
        self._seconds = 0.0

    @contextmanager
    def installed(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self._text is not None:
                for module, name in _LOADERS:
                    if importlib.util.find_spec(module) is not None:
                        loaded = importlib.import_module(module)
                        stack.enter_context(mock.patch.object(loaded, name, self._loading(getattr(loaded, name))))
            if self._change.get("kind") == "environment":
                stack.enter_context(mock.patch.dict(os.environ, {self._change["name"]: self._change["value"]}))
                self._applied += 1
            if self._at_calls:
                stack.enter_context(self._calls.installed())
            started = time.process_time()
            yield
            self._seconds = time.process_time() - started

    def result(self) -> dict[str, Any]:
        config, handed = self._config, self._configs.content
        if handed is not None and (config is None or isinstance(config, Mapping)):
            config = handed if config is None else joined(config, handed)
        return {
            "seconds": self._seconds,
            "applied": self._applied + self._calls.applied + self._configs.applied,
            "config": json.loads(json.dumps(config, default=str)),
            "is_read": self._config is not None,
            "calls": self._calls.seen(),
        }

    def _loading(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def load(source: Any, *arguments: Any, **options: Any) -> Any:
            content = source.read() if hasattr(source, "read") else source
            found = original(content, *arguments, **options)
            return self._changed(found) if self._is_config(content) else found

        return load

    def _is_config(self, content: Any) -> bool:
        """By its text: a copy of the file, or a file read by the caller, is the config too."""
        text = content.decode("utf-8", "replace") if isinstance(content, bytes | bytearray) else content
        return isinstance(text, str) and plain_lines(text) == self._text

    def _changed(self, found: Any) -> Any:
        if self._config is None:
            self._config = copy.deepcopy(found)
        if self._in_file:
            put(found, self._change["path"], self._change["value"])
            self._applied += 1
        return found


def plain_lines(text: str) -> str:
    """As Python reads a text file, whoever has opened it."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


@contextmanager
def inject(options: dict[str, Any]) -> Iterator[Injection]:
    """Options: `package`, `tree` (the folder that holds it), `files` (the user's own), `text` (of the config file, or
    None), `parameters` (names of config parameters), `change` (as a `Change` has it, or None)."""
    injection = Injection(options)
    with injection.installed():
        yield injection
