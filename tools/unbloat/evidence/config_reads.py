"""Which config keys each expression of the subject read, and what it found there.

Reads are seen where OmegaConf resolves a key, whatever the style of the access (attribute, item, `.get`, `getattr` with a
default, `OmegaConf.select`, a helper that splits dotted names), and charged to every expression of the subject that was
being evaluated at that moment: Python knows the position of each running instruction. Configs of other kinds tell by
themselves that they are read (`plain_configs`). Only configs that a workload handed in count; a key of any other OmegaConf
container is recorded as unknown.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType
from typing import Any
from unittest import mock

from unbloat.evidence.places import Place, Places
from unbloat.evidence.plain_configs import Watched, content, found, is_config, needs_twin, root_name

ABSENT = "absent"
VALUE = "value"
MAPPING = "mapping"
UNKNOWN_KEY = "?"
# Reads of a mapping itself, each like a key of its own: which keys it has, and whether it has any.
KEYS_PART = "<keys>"
ANY_PART = "<any>"
# In the guard alone: of which type something is.
TYPE_PART = "<type>"
_MOST_WATCHED = 256
_LIST_WRITERS = "append clear extend insert pop remove reverse sort __setitem__ __delitem__ __iadd__".split()


class ConfigReads:
    """Everything that was read and written while it was installed."""

    def __init__(self, tree: str, places: Places) -> None:
        self._tree = tree
        self._places = places
        self._roots: dict[int, Any] = {}
        self.reads: dict[Place, set[str]] = {}
        # The expressions that read by themselves, not through a function, and the roots of what they read, "" for OmegaConf's.
        self.direct: dict[Place, set[str]] = {}
        self.handed_in: list[Any] = []  # every config as it came in: what a run never asked it for counts, too
        self.values: dict[str, list[list[Any]]] = {}
        self.writes: set[str] = set()
        self._noting = threading.local()
        self._watched = Watched(self)
        self._came_in: list[tuple[str, Any, Any, Any]] = []  # what is watched: its key, itself, its twin, and what was in it
        self.roots: dict[str, list[bool]] = {}
        """Of what is watched, whether it is an object of the subject's own class, and whether somebody else handed it in."""

    def watch(self, config: Any, parameter: str, *, as_twin: bool) -> Any:
        """What stands for a config that is no OmegaConf container; anything else, and what would need a twin, as it is."""
        with self.unnoticed():
            key = self._watched.key_of(config)
            if key is None and (not is_config(config) or (needs_twin(config) and not as_twin)):
                return config
            if key is None and len(self._came_in) == _MOST_WATCHED:
                return config  # what is made anew for every call is no config
            name, held = root_name(parameter, config) if key is None else key, content(config)
            if "." not in name:
                if [name, held] not in self.handed_in:
                    self.handed_in.append([name, held])
                own, from_outside = self.roots.setdefault(name, [self._is_own_class(config), False])
                self.roots[name] = [own, from_outside or as_twin]
            watched = self._watched.watch(config, name)
            if key is None:
                self._came_in.append((name, config, watched, held))
                self._see(name, found(watched))
            return watched

    def _is_own_class(self, config: Any) -> bool:
        module = sys.modules.get(type(config).__module__)
        return (getattr(module, "__file__", None) or "").startswith(self._tree)

    def changed(self) -> Iterator[str]:
        """The keys of what is watched that hold something else now, however that came about."""
        with self.unnoticed():
            for name, original, watched, held in self._came_in:
                yield from _differing(name, held, content(watched))
                yield from _differing(name, held, content(original))

    def admit(self, config: Any) -> str | None:
        """Take `config` (and the tree it belongs to) as handed in; its key, or None if it is no config."""
        container = _container_types()
        if not container or not isinstance(config, container):
            return self._watched.key_of(config)
        with self.unnoticed():
            root = config._get_root()
            if id(root) not in self._roots:
                self.handed_in.append(_content(root))
            self._roots[id(root)] = root
            return config._get_full_key(None) or ""

    def key_of(self, config: Any) -> str | None:
        """The key of a config that belongs to one handed in; None for anything else."""
        container = _container_types()
        if not container or not isinstance(config, container):
            return self._watched.key_of(config)
        with self.unnoticed():
            return (config._get_full_key(None) or "") if id(config._get_root()) in self._roots else None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch OmegaConf's containers; a subject that does not use OmegaConf costs nothing."""
        if importlib.util.find_spec("omegaconf") is None:
            yield
            return
        from omegaconf import DictConfig, ListConfig

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
            for name in _LIST_WRITERS:
                if hasattr(ListConfig, name):
                    stack.enter_context(
                        mock.patch.object(ListConfig, name, self._watch_write(getattr(ListConfig, name), of_whole=True))
                    )
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
            with self.unnoticed():
                found = bool(original(config))
            self._note(config, None, lambda: [VALUE, found], ANY_PART)
            return found

        return __bool__

    def _watch_whole(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Comparing or printing a config reads more than can be pinned."""

        def whole(config: Any, *arguments: Any) -> Any:
            if not getattr(self._noting, "active", False):
                for place in self._places.under_way():
                    self.reads.setdefault(place, set()).add(UNKNOWN_KEY)
            return original(config, *arguments)

        return whole

    def _watch_write(self, original: Callable[..., Any], *, of_whole: bool = False) -> Callable[..., Any]:
        """A list is read as a whole, so a change of an item changes what its own key finds."""

        def write(config: Any, *arguments: Any, **options: Any) -> Any:
            if self._places.any_under_way():
                with self.unnoticed():
                    key = None if of_whole else arguments[0] if arguments else options["key"]
                    self.writes.add(self._full_key(config, key))
            return original(config, *arguments, **options)

        return write

    def _watch_copy(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __deepcopy__(config: Any, memo: dict[int, Any]) -> Any:
            duplicate = original(config, memo)
            if id(config) in self._roots:
                self._roots[id(duplicate)] = duplicate
            return duplicate

        return __deepcopy__

    # -- what the watched ones tell -----------------------------------------------------------------------------

    def read(self, key: str, answer: list[Any] | None) -> None:
        if not getattr(self._noting, "active", False):
            with self.unnoticed():
                root = key.partition(".")[0]
                self._charge_key(f"{root}.{UNKNOWN_KEY}" if answer is None else key, answer, root)

    def read_keys(self, key: str, keys: list[str]) -> None:
        self.read(f"{key}.{KEYS_PART}", [VALUE, keys])

    def read_any(self, key: str, answer: bool) -> None:
        self.read(f"{key}.{ANY_PART}", [VALUE, answer])

    def wrote(self, key: str) -> None:
        if not getattr(self._noting, "active", False) and self._places.any_under_way():
            self.writes.add(key)

    def is_own(self, function: object) -> bool:
        code = getattr(function, "__code__", None)
        return isinstance(code, CodeType) and code.co_filename.startswith(self._tree)

    # -- book-keeping -------------------------------------------------------------------------------------------

    def _full_key(self, config: Any, key: Any) -> str:
        if id(config._get_root()) not in self._roots:
            return UNKNOWN_KEY
        return str(config._get_full_key(key) or "")

    def _note(self, config: Any, key: Any, found: Callable[[], list[Any]], part: str = "") -> None:
        """Charge a read to every expression under way; what this itself asks of OmegaConf is no read."""
        if getattr(self._noting, "active", False):
            return
        with self.unnoticed():
            self._charge(config, key, found(), part)

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        before = getattr(self._noting, "active", False)
        self._noting.active = True
        try:
            yield
        finally:
            self._noting.active = before

    def _charge(self, config: Any, key: Any, answer: list[Any], part: str) -> None:
        name = self._full_key(config, key)
        if part and name != UNKNOWN_KEY:
            name = f"{name}.{part}" if name else part
        self._charge_key(name, answer, "")

    def _charge_key(self, name: str, answer: list[Any] | None, root: str) -> None:
        places = self._places.under_way()
        if not places:
            return
        self.direct.setdefault(places[0], set()).add(root)
        for place in places:
            self.reads.setdefault(place, set()).add(name)
        self._see(name, answer)

    def _see(self, name: str, answer: list[Any] | None) -> None:
        """Nothing is known of the value of a key without an answer, and so it may vary."""
        if answer is not None and answer not in (seen := self.values.setdefault(name, [])):
            seen.append(copy.deepcopy(answer))


def _differing(key: str, before: Any, after: Any) -> Iterator[str]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        if before != after:
            yield key
        return
    for name in before.keys() | after.keys():
        if name not in before or name not in after:
            yield f"{key}.{name}"
        else:
            yield from _differing(f"{key}.{name}", before[name], after[name])


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
