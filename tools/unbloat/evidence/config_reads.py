"""Which config keys each expression of the subject read, and what it found there.

Reads are seen where OmegaConf resolves a key, whatever the style of the access (attribute, item, `.get`, `getattr` with a
default, `OmegaConf.select`, a helper that splits dotted names), and charged to every expression of the subject that was
being evaluated at that moment: Python knows the position of each running instruction. Only configs that a workload
handed in count; a key of any other config is recorded as unknown.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType, FrameType
from typing import Any
from unittest import mock

from unbloat.edit.edits import Span

ABSENT = "absent"
VALUE = "value"
MAPPING = "mapping"
UNKNOWN_KEY = "?"
# Reads of a mapping itself, each like a key of its own: which keys it has, and whether it has any.
KEYS_PART = "<keys>"
ANY_PART = "<any>"
# What hands a call on with the arguments as they are: decorators like `torch.no_grad()`, and, to `forward` alone (a hook gets
# others), `Module.__call__`.
_DECORATORS = ("torch/utils/_contextlib.py",)
_MODULE_CALL = ("torch/nn/modules/module.py", *_DECORATORS)


class ConfigReads:
    """Everything that was read and written while it was installed."""

    def __init__(self, tree: str) -> None:
        self._tree = tree
        self._roots: dict[int, Any] = {}
        self._positions: dict[tuple[CodeType, int], tuple[str, Span] | None] = {}
        self.reads: dict[tuple[str, Span], set[str]] = {}
        self.direct: set[tuple[str, Span]] = set()  # the expressions that read by themselves, not through a function
        self.handed_in: list[Any] = []  # every config as it came in: what a run never asked it for counts, too
        self.values: dict[str, list[list[Any]]] = {}
        self.writes: set[str] = set()
        self._noting = threading.local()

    def admit(self, config: Any) -> str | None:
        """Take `config` (and the tree it belongs to) as handed in; its key, or None if it is no OmegaConf container."""
        container = _container_types()
        if not container or not isinstance(config, container):
            return None
        with self._unnoticed():
            root = config._get_root()
            if id(root) not in self._roots:
                self.handed_in.append(_content(root))
            self._roots[id(root)] = root
            return config._get_full_key(None) or ""

    def key_of(self, config: Any) -> str | None:
        """The key of a config that belongs to one handed in; None for anything else."""
        container = _container_types()
        if not container or not isinstance(config, container):
            return None
        with self._unnoticed():
            return (config._get_full_key(None) or "") if id(config._get_root()) in self._roots else None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch OmegaConf's containers; a subject that does not use OmegaConf costs nothing."""
        if importlib.util.find_spec("omegaconf") is None:
            yield
            return
        from omegaconf import DictConfig

        with ExitStack() as stack:
            for name, watch in (
                ("_get_node", self._watch_get),
                ("keys", self._watch_keys),
                ("__len__", self._watch_keys),
                ("__eq__", self._watch_whole),
                ("__str__", self._watch_whole),
                ("__repr__", self._watch_whole),
                ("_set_item_impl", self._watch_write),
                ("__delitem__", self._watch_write),
                ("pop", self._watch_write),
                ("__deepcopy__", self._watch_copy),
            ):
                stack.enter_context(mock.patch.object(DictConfig, name, watch(getattr(DictConfig, name))))
            length = mock.patch.object(DictConfig, "__bool__", self._watch_truth(DictConfig.__len__), create=True)
            stack.enter_context(length)
            yield

    # -- what the patched methods do ----------------------------------------------------------------------------

    def _watch_get(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _get_node(config: Any, key: Any, *arguments: Any, **options: Any) -> Any:
            try:
                node = original(config, key, *arguments, **options)
            except Exception:
                self._note(config, key, lambda: [ABSENT, None])
                raise
            self._note(config, key, lambda: _found(node))
            return node

        return _get_node

    def _watch_keys(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def keys(config: Any) -> Any:
            self._note(config, None, lambda: _keys(config), KEYS_PART)
            return original(config)

        return keys

    def _watch_truth(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Whether there is anything in a config: not which keys it has."""

        def __bool__(config: Any) -> bool:
            with self._unnoticed():
                found = bool(original(config))
            self._note(config, None, lambda: [VALUE, found], ANY_PART)
            return found

        return __bool__

    def _watch_whole(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Comparing or printing a config reads more than can be pinned."""

        def whole(config: Any, *arguments: Any) -> Any:
            if not getattr(self._noting, "active", False):
                for frame in self._frames():
                    if (place := self._position(frame)) is not None:
                        self.reads.setdefault(place, set()).add(UNKNOWN_KEY)
            return original(config, *arguments)

        return whole

    def _watch_write(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def write(config: Any, key: Any, *arguments: Any, **options: Any) -> Any:
            if any(True for _ in self._frames()):
                with self._unnoticed():
                    self.writes.add(self._full_key(config, key))
            return original(config, key, *arguments, **options)

        return write

    def _watch_copy(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __deepcopy__(config: Any, memo: dict[int, Any]) -> Any:
            duplicate = original(config, memo)
            if id(config) in self._roots:
                self._roots[id(duplicate)] = duplicate
            return duplicate

        return __deepcopy__

    # -- book-keeping -------------------------------------------------------------------------------------------

    def _full_key(self, config: Any, key: Any) -> str:
        if id(config._get_root()) not in self._roots:
            return UNKNOWN_KEY
        return str(config._get_full_key(key) or "")

    def _note(self, config: Any, key: Any, found: Callable[[], list[Any]], part: str = "") -> None:
        """Charge a read to every expression under way; what this itself asks of OmegaConf is no read."""
        if getattr(self._noting, "active", False):
            return
        with self._unnoticed():
            self._charge(config, key, found(), part)

    @contextmanager
    def _unnoticed(self) -> Iterator[None]:
        before = getattr(self._noting, "active", False)
        self._noting.active = True
        try:
            yield
        finally:
            self._noting.active = before

    def _charge(self, config: Any, key: Any, found: list[Any], part: str) -> None:
        places = [place for frame in self._frames() if (place := self._position(frame)) is not None]
        if not places:
            return
        self.direct.add(places[0])
        name = self._full_key(config, key)
        if part and name != UNKNOWN_KEY:
            name = f"{name}.{part}" if name else part
        for place in places:
            self.reads.setdefault(place, set()).add(name)
        seen = self.values.setdefault(name, [])
        if found not in seen:
            seen.append(copy.deepcopy(found))

    def caller(self, frame: FrameType | None, *, is_forward: bool) -> tuple[str, Span] | None:
        """The expression of the subject that calls, directly or through a pass-through; None if somebody else does."""
        while frame is not None and frame.f_code.co_filename.endswith(_MODULE_CALL if is_forward else _DECORATORS):
            frame = frame.f_back
        if frame is None or not frame.f_code.co_filename.startswith(self._tree):
            return None
        return self._position(frame)

    def beneath(self, frame: FrameType | None) -> tuple[str, Span] | None:
        """The innermost expression of the subject that is under way."""
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._tree):
                return self._position(frame)
            frame = frame.f_back
        return None

    def _frames(self) -> Iterator[FrameType]:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._tree):
                yield frame
            frame = frame.f_back

    def _position(self, frame: FrameType) -> tuple[str, Span] | None:
        place = (frame.f_code, frame.f_lasti)
        if place not in self._positions:
            self._positions[place] = _instruction(frame, self._tree)
        return self._positions[place]


def _instruction(frame: FrameType, tree: str) -> tuple[str, Span] | None:
    for offset, (line, end_line, column, end_column) in enumerate(frame.f_code.co_positions()):
        if offset * 2 == frame.f_lasti:
            if line is None or end_line is None or column is None or end_column is None:
                return None
            return frame.f_code.co_filename[len(tree) :], Span(line, column, end_line, end_column)
    return None


def _content(config: Any) -> Any:
    """What a config holds, as plain containers; interpolations as the text that they are."""
    from omegaconf import OmegaConf

    return json.loads(json.dumps(OmegaConf.to_container(config, resolve=False), default=repr))


def _keys(config: Any) -> list[Any]:
    content = config.__dict__["_content"]
    return [VALUE, [str(key) for key in content] if isinstance(content, dict) else []]


def _found(node: Any) -> list[Any]:
    from omegaconf import DictConfig, ListConfig, OmegaConf

    if node is None:
        return [ABSENT, None]
    if node._is_interpolation():
        node = node._dereference_node()
    if isinstance(node, DictConfig):
        return [VALUE, None] if node._is_none() else [MAPPING, None]
    if isinstance(node, ListConfig):
        return [VALUE, None] if node._is_none() else [VALUE, OmegaConf.to_container(node)]
    return [VALUE, node._value()]


def _container_types() -> tuple[Any, ...]:
    omegaconf = sys.modules.get("omegaconf")
    return (omegaconf.DictConfig,) if omegaconf else ()
