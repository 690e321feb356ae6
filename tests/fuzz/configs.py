"""How a program gets at its config: OmegaConf's, a dictionary, or a namespace or object, each in the styles that it has."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any

from tests.handing import CLASS


class Access(ABC):
    """Reads and writes of one kind of config, as text. Which one is taken is up to the author."""

    kind: str
    get: str
    """The helper that reads dotted names, for the header of a program."""
    reader = "lambda cfg, name, default=None: getattr(cfg, name, default)"
    classes = ""

    def __init__(self, chosen: random.Random) -> None:
        self.random = chosen

    def content(self, config: dict[str, Any]) -> dict[str, Any]:
        """What a use hands over for a config."""
        return config

    @abstractmethod
    def at(self, path: str, cfg: str = "cfg") -> str:
        """What is there for sure, if only the pinned config is asked."""

    def optional(self, name: str, default: str) -> str:
        """A key, or a default."""
        return f"cfg.get({name!r}, {default})"

    @abstractmethod
    def reads(self, cfg: str, path: str, default: str, *, is_known: bool) -> list[str]: ...

    @abstractmethod
    def puts(self, cfg: str, path: str, value: str) -> list[str]:
        """Statements that set a key of a part that is there."""

    @abstractmethod
    def removal(self, name: str) -> str: ...

    @abstractmethod
    def items(self) -> list[str]:
        """What `for key, value in` may walk."""

    @abstractmethod
    def copies(self) -> list[str]: ...

    @abstractmethod
    def keys(self, flag: str) -> list[str]:
        """Statements about which keys there are."""

    def statements(self, name: str, flag: str) -> list[tuple[str, list[str]]]:
        """Further statements, each with the flags that it leaves; `name` is free."""
        del name, flag
        return []

    def put(self, cfg: str, path: str, value: str) -> str:
        return self.random.choice(self.puts(cfg, path, value))

    def _outer(self, cfg: str, path: str) -> tuple[str, str]:
        outer, _, last = path.rpartition(".")
        return (self.at(outer, cfg) if outer else cfg), last


class OmegaAccess(Access):
    kind = "config"
    get = """
    node = cfg
    for part in path.split("."):
        if node is None or not hasattr(node, "get") or part not in node:
            return default
        node = node[part]
    return node"""

    def at(self, path: str, cfg: str = "cfg") -> str:
        return f"{cfg}.{path}"

    def reads(self, cfg: str, path: str, default: str, *, is_known: bool) -> list[str]:
        *outer, last = path.split(".")
        styles = [f"OmegaConf.select({cfg}, {path!r}, default={default})", *_by_getattr(cfg, path, default)]
        if len(outer) == 1:
            styles.append(f"({cfg}.get({outer[0]!r}) or {{}}).get({last!r}, {default})")
        if not outer:
            styles += [f"{cfg}.get({last!r}, {default})", f"({last!r} in {cfg})"]
        if is_known:
            styles += [self.at(path, cfg), _subscripted(cfg, path)] * 2
        return styles

    def puts(self, cfg: str, path: str, value: str) -> list[str]:
        base, last = self._outer(cfg, path)
        return [
            f"{base}[{last!r}] = {value}",
            f"{base}.{last} = {value}",
            f"setattr({base}, {last!r}, {value})",
            f"OmegaConf.update({cfg}, {path!r}, {value})",
            f"part = {base}\npart.update({{{last!r}: {value}}})",
            f"for part in [{base}]:\n    part[{last!r}] = {value}",
        ]

    def removal(self, name: str) -> str:
        return f"cfg.pop({name!r}, None)"

    def items(self) -> list[str]:
        return ["cfg.items()", "cfg.sub.items()", "(cfg.get('other') or {}).items()"]

    def copies(self) -> list[str]:
        return [
            "copy.deepcopy(cfg)",
            "OmegaConf.merge(cfg, {'alpha': x > 3})",
            "OmegaConf.create(OmegaConf.to_container(cfg))",
            "cfg.copy()",
        ]

    def keys(self, flag: str) -> list[str]:
        return [
            f"out.append(sorted(key for key in cfg.sub if {flag}))",
            "if cfg.get('alpha'):\n    out.append('alpha')",
            "if len(cfg.sub) > 2:\n    out.append('long')",
            "if 'extra' in cfg and cfg['extra']:\n    out.append('extra')",
        ]


class DictAccess(Access):
    kind = "dict"
    get = """
    node = cfg
    for part in path.split("."):
        if not isinstance(node, dict) or part not in node:
            return default
        node = node[part]
    return node"""
    reader = "lambda cfg, name, default=None: cfg.get(name, default)"

    def at(self, path: str, cfg: str = "cfg") -> str:
        return _subscripted(cfg, path)

    def reads(self, cfg: str, path: str, default: str, *, is_known: bool) -> list[str]:
        *outer, last = path.split(".")
        styles = [_subscripted(cfg, path)] * 5 if is_known else []
        if len(outer) == 1:
            styles.append(f"({cfg}.get({outer[0]!r}) or {{}}).get({last!r}, {default})")
        if outer and is_known:
            styles += [
                f"{self.at('.'.join(outer), cfg)}.get({last!r}, {default})",
                f"({last!r} in {self.at('.'.join(outer), cfg)})",
            ]
        if not outer:
            styles += [f"{cfg}.get({last!r}, {default})", f"({last!r} in {cfg})", f"{{**{cfg}}}.get({last!r}, {default})"]
            styles += [
                f"dict({cfg}).get({last!r})",
                f"({{{last!r}: {default}}} | {cfg})[{last!r}]",
                f"dict.get({cfg}, {last!r})",
            ]
            styles += [f"any(value for key, value in {cfg}.items() if key == {last!r})", f"taken(**{cfg})[{last!r} == 'alpha']"]
            styles += [f"ChainMap({cfg}, {{{last!r}: {default}}})[{last!r}]", f"getattr({cfg}, {last!r}, {default})"]
        return styles or [f"_get({cfg}, {path!r}, {default})"]

    def puts(self, cfg: str, path: str, value: str) -> list[str]:
        base, last = self._outer(cfg, path)
        return [
            f"{base}[{last!r}] = {value}",
            f"{base}.update({last}={value})",
            f"part = {base}\npart.update({{{last!r}: {value}}})",
            f"{base}.setdefault({last!r}, {value})",
            f"for part in [{base}]:\n    part[{last!r}] = {value}",
            f"part = {base}\npart |= {{{last!r}: {value}}}",
            f"dict.__setitem__({base}, {last!r}, {value})",
            f"operator.setitem({base}, {last!r}, {value})",
            f"writer({base}, {last!r}, {value})",
        ]

    def removal(self, name: str) -> str:
        return f"cfg.pop({name!r}, None)"

    def items(self) -> list[str]:
        return ["cfg.items()", "cfg['sub'].items()", "(cfg.get('other') or {}).items()", "dict(cfg, extra=x).items()"]

    def copies(self) -> list[str]:
        return [
            "copy.deepcopy(cfg)",
            "copy.copy(cfg)",
            "cfg.copy()",
            "dict(cfg)",
            "{**cfg}",
            "{'missing': x > 3, **cfg}",
            "cfg | {'alpha': x > 3}",
        ]

    def keys(self, flag: str) -> list[str]:
        return [
            f"out.append(sorted(key for key in cfg['sub'] if {flag}))",
            "if len(cfg['sub']) > 2:\n    out.append('long')",
            "if len(cfg) > 5:\n    out.append('long')",
            "if 'extra' in cfg and cfg['extra']:\n    out.append('extra')",
            "if isinstance(cfg['sub'], dict):\n    out.append('part')",
            "if isinstance(cfg, dict):\n    out.append('dict')",
            "if cfg == {}:\n    out.append('empty')",
            "if 'True' in str(cfg):\n    out.append('text')",
            "if next(iter(cfg)) == 'alpha':\n    out.append('first')",
        ]

    def statements(self, name: str, flag: str) -> list[tuple[str, list[str]]]:
        kept = f"{name} = Keeper(cfg, cfg['sub'])"
        merged = [f"{name}['alpha']", f"{name}.get('missing')", f"{name}['sub'].get('use')"]
        return [
            (f"{name} = {{**DEFAULTS, **cfg}}", merged),
            (f"{name} = dict(DEFAULTS, **cfg)", merged),
            (f"{name} = {{key: cfg.get(key, value) for key, value in DEFAULTS.items()}}", merged[:1]),
            (f"{name} = cfg or DEFAULTS", [f"{name}.get('alpha')"]),
            (kept, [f"{name}.cfg['mode'] == 'second'", f"{name}.part.get('use')", f"{name}.read('alpha')"]),
            (f"{kept}\nif x > 3:\n    {name}.part['use'] = {flag}", [f"{name}.part.get('use')", "cfg['sub'].get('use')"]),
            (f"{name} = part_of(cfg['sub'], x)\nout.append({name})", []),
            (f"{name} = cfg\nif x > 3:\n    {name}['alpha'] = {flag}", [f"{name}.get('alpha')", "cfg.get('alpha')"]),
            (f"match cfg:\n    case {{'alpha': True}}:\n        {name} = {flag}\n    case _:\n        {name} = None", [name]),
        ]  # fmt: skip


class ObjectAccess(Access):
    """A namespace; what holds for every object."""

    get = """
    node = cfg
    for part in path.split("."):
        if not hasattr(node, part):
            return default
        node = getattr(node, part)
    return node"""

    def __init__(self, chosen: random.Random, kind: str = "namespace") -> None:
        super().__init__(chosen)
        self.kind = kind

    def at(self, path: str, cfg: str = "cfg") -> str:
        return f"{cfg}.{path}"

    def optional(self, name: str, default: str) -> str:
        return f"getattr(cfg, {name!r}, {default})"

    def reads(self, cfg: str, path: str, default: str, *, is_known: bool) -> list[str]:
        *outer, last = path.split(".")
        styles = [*_by_getattr(cfg, path, default), *([self.at(path, cfg)] * 5 if is_known else [])]
        if is_known:
            base = ".".join([cfg, *outer])
            styles += [f"hasattr({base}, {last!r})", f"vars({base})[{last!r}]", f"{base}.__dict__.get({last!r}, {default})"]
            styles.append(f"operator.attrgetter({path!r})({cfg})")
        if not outer:
            styles += [f"hasattr({cfg}, {last!r})", f"vars({cfg}).get({last!r}, {default})", f"({last!r} in vars({cfg}))"]
            styles += [f"taken(**vars({cfg}))[{last!r} == 'alpha']", f"{{**vars({cfg})}}.get({last!r}, {default})"]
        return styles

    def puts(self, cfg: str, path: str, value: str) -> list[str]:
        base, last = self._outer(cfg, path)
        return [
            f"{base}.{last} = {value}",
            f"setattr({base}, {last!r}, {value})",
            f"part = {base}\npart.{last} = {value}",
            f"for part in [{base}]:\n    part.{last} = {value}",
            f"{base}.__dict__[{last!r}] = {value}",
            f"vars({base}).update({last}={value})",
            f"object.__setattr__({base}, {last!r}, {value})",
            f"writer(vars({base}), {last!r}, {value})",
        ]

    def removal(self, name: str) -> str:
        return self.random.choice([f"vars(cfg).pop({name!r}, None)", f"if hasattr(cfg, {name!r}):\n    del cfg.{name}"])

    def items(self) -> list[str]:
        return ["vars(cfg).items()", "vars(cfg.sub).items()", "cfg.__dict__.items()"]

    def copies(self) -> list[str]:
        return ["copy.deepcopy(cfg)", "copy.copy(cfg)", "SimpleNamespace(**vars(cfg))"]

    def keys(self, flag: str) -> list[str]:
        return [
            f"out.append(sorted(key for key in vars(cfg.sub) if {flag}))",
            "if len(vars(cfg.sub)) > 2:\n    out.append('long')",
            "if hasattr(cfg, 'extra') and cfg.extra:\n    out.append('extra')",
            "if isinstance(cfg, dict):\n    out.append('dict')",
            "if 'True' in str(vars(cfg)):\n    out.append('text')",
            "if isinstance(cfg.sub, type(cfg)):\n    out.append('kind')",
        ]

    def statements(self, name: str, flag: str) -> list[tuple[str, list[str]]]:
        kept = f"{name} = Keeper(cfg, cfg.sub)"
        part = f"getattr({name}.part, 'use', None)"
        return [
            (f"{name} = {{**DEFAULTS, **vars(cfg)}}", [f"{name}['alpha']", f"{name}.get('missing')"]),
            (kept, [f"{name}.cfg.mode == 'second'", part, f"{name}.read('alpha')"]),
            (f"{kept}\nif x > 3:\n    {name}.part.use = {flag}", [part, "getattr(cfg.sub, 'use', None)"]),
            (f"{name} = part_of(cfg.sub, x)\nout.append({name})", []),
            (
                f"{name} = cfg\nif x > 3:\n    {name}.alpha = {flag}",
                [f"getattr({name}, 'alpha', None)", "getattr(cfg, 'alpha', 1)"],
            ),
        ]


class ClassAccess(ObjectAccess):
    """An object of a class of the program's own, with methods and properties."""

    def __init__(self, chosen: random.Random, config: dict[str, Any]) -> None:
        super().__init__(chosen, "object")
        self.classes = self._classes(config)

    def content(self, config: dict[str, Any], name: str = "Config") -> dict[str, Any]:
        parts = {key: self.content(part, "Part") if isinstance(part, dict) else part for key, part in config.items()}
        return {CLASS: name, **parts}

    def _classes(self, config: dict[str, Any]) -> str:
        names = sorted(name for name in config if name not in ("sub", "mode"))
        first, second, third = self.random.sample(names, 3)
        self.is_dataclass = self.random.random() < 0.5
        if self.is_dataclass:
            fields = [
                f"    {name}: object = {self.random.choice(['False', 'None', '1'])}\n"
                for name in [*names, "mode", "sub", "missing"]
            ]
            head = f"@dataclass{self.random.choice(['', '(eq=False)'])}\nclass Config:\n{''.join(fields)}"
            changes = self.random.choice(
                ["pass", f"self.{first} = bool(self.{first})", f"self.{second} = self.{second} or self.{first}"]
            )
            head += f"\n    def __post_init__(self):\n        {changes}\n"
        else:
            head = f"class Config:\n    {first} = {self.random.choice(['False', 'None', '1'])}\n    other = None\n"
            head += (
                "\n    def __init__(self, **given):\n        for name in given:\n            setattr(self, name, given[name])\n"
            )
        deep = self.random.choice(["", " or os.environ.get('PKG_DEEP') == '1'", " or len(SEEN) > 2"])
        members = f"""
    @property
    def on(self):
        return bool(self.{second}){deep}

    def is_on(self, value=None):
        if self.{first} or value:
            return self.mode == 'second'
        return self.{third}
"""
        other = """

class Wider(Config):
    def is_on(self, value=None):
        return True

    @property
    def on(self):
        return True
"""
        part = "class Part:\n    def __init__(self, **given):\n        self.__dict__.update(given)\n"
        return f"{head}{members}{other}\n\n{part}"

    def reads(self, cfg: str, path: str, default: str, *, is_known: bool) -> list[str]:
        found = super().reads(cfg, path, default, is_known=is_known)
        return [*found, f"{cfg}.on", f"{cfg}.is_on()"] if "copied" not in cfg else found

    def puts(self, cfg: str, path: str, value: str) -> list[str]:
        return [*super().puts(cfg, path, value), *([f"type({cfg}).alpha = {value}"] if self.random.random() < 0.1 else [])]

    def copies(self) -> list[str]:
        return [
            *super().copies(),
            *(["replace(cfg)", "replace(cfg, mode='second')"] if self.is_dataclass else ["Config(**vars(cfg))"]),
        ]

    def statements(self, name: str, flag: str) -> list[tuple[str, list[str]]]:
        return [
            *super().statements(name, flag),
            (f"{name} = cfg.is_on({flag})", [name]),
            (f"{name} = Config(mode=('second' if x > 3 else 'first'))", [f"{name}.is_on(True)", f"{name}.on"]),
            (f"{name} = cfg.is_on", [f"{name}()"]),
            (f"{name} = type(cfg) is Config", [name]),
            (f"{name} = isinstance(cfg, Wider)", [name]),
        ]


HELPERS = """
DEFAULTS = {{"alpha": False, "mode": "first", "missing": None, "sub": {{}}}}


def taken(alpha=False, **others):
    return len(others) > 4, alpha


def writer(part, name, value):
    part[name] = value


def part_of(cfg, x):
    if {read}:
        return x * 2
    return x


class Keeper:
    def __init__(self, cfg, part):
        self.cfg = cfg
        self.part = part

    def read(self, name):
        return _get(self.cfg, name)
"""
"""What statements about plain configs need, for the header of a program."""


def helpers(access: Access) -> str:
    if isinstance(access, OmegaAccess):
        return ""
    read = access.random.choice(
        [read for read in access.reads("cfg", "use", "False", is_known=False) if "on" not in read.split(".")]
    )
    return HELPERS.format(read=read)


def _by_getattr(cfg: str, path: str, default: str) -> list[str]:
    *outer, last = path.split(".")
    base = cfg
    for part in outer:
        base = f"getattr({base}, {part!r}, None)"
    return [f"getattr({base}, {last!r}, {default})", f"bool(getattr({base}, {last!r}, {default}))"]


def _subscripted(cfg: str, path: str) -> str:
    return cfg + "".join(f"[{part!r}]" for part in path.split("."))
