"""One decision on a plain config at a time, so that no other one gives the difference away.

Each is alone in its package, once as it stands, and once after each write that leaves everything as it was in the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.evidence.cases.case import OFF_ON, Case, config, run

HEAD = """
import copy, json, operator, os
from collections import ChainMap
from dataclasses import asdict, astuple, dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType, SimpleNamespace


DEFAULTS = {"flag": False, "wide": False}


@dataclass
class Sub:
    wide: bool = False


@dataclass
class Config:
    flag: object = False
    sizes: object = ()
    sub: object = None
    extra: object = None

    @property
    def on(self):
        return self.flag

    def is_on(self):
        return self.flag

    def get(self, name, default=None):
        return getattr(self, name, default)


@dataclass
class Other(Config):
    wide: bool = True

    @property
    def on(self):
        return not self.flag

    def is_on(self):
        return not self.flag

    def get(self, name, default=None):
        return True


def _flag(cfg):
    return cfg["flag"] if isinstance(cfg, dict) else cfg.flag


def _given(flag=False, **others):
    return flag


class Holder:
    def __init__(self, cfg):
        self.cfg = cfg
        self.flag = _flag(cfg)
        self.sub = cfg["sub"] if isinstance(cfg, dict) else cfg.sub
"""

RUN = """

def run(cfg, x=1):
    {write}
    if {test}:
        return x * 2
    return x
"""

IN_DICTS = """
cfg["flag"]
cfg.get("flag")
"wide" in cfg
"wide" not in cfg
cfg.get("wide") is None
cfg.get("wide", True)
len(cfg) > 3
any(cfg.values())
list(cfg)[-1] == "wide"
sorted(cfg)[0] == "a"
cfg == {"flag": False, "sizes": [1, 2], "sub": {"wide": False}}
{**cfg}["flag"]
dict(cfg)["flag"]
dict(cfg).get("wide")
(cfg | {"x": 1}).get("wide")
{**DEFAULTS, **cfg}["wide"]
dict(DEFAULTS, **cfg)["flag"]
(DEFAULTS | cfg)["wide"]
_given(**cfg)
_flag(cfg)
Holder(cfg).flag
Holder(cfg).cfg["flag"]
Holder(cfg).sub["wide"]
cfg["sub"]["wide"]
cfg["sub"].get("deep")
"deep" in cfg["sub"]
not cfg["sub"]
len(cfg["sub"]) != 1
cfg["sub"] == {"wide": False}
cfg["sub"] is None
isinstance(cfg["sub"], dict)
type(cfg["sub"]) is dict
cfg.get("sub") or False
isinstance(cfg["sizes"], list)
isinstance(cfg["sizes"], tuple)
type(cfg["sizes"]) is list
cfg["sizes"] == [1, 2]
cfg["sizes"] == (1, 2)
3 in cfg["sizes"]
cfg["sizes"][0] is True
len(cfg["sizes"]) == 2
sum(cfg["sizes"]) > 3
max(cfg["sizes"]) > 2
str(cfg["sizes"]) == "[1, 2]"
cfg["sizes"][-1] > 2
[size for size in cfg["sizes"] if size > 2]
json.dumps(cfg).endswith("}}")
"true" in json.dumps(cfg)
"True" in str(cfg)
"%(flag)s" % cfg == "True"
"{flag}".format(**cfg) == "True"
"{flag}".format_map(cfg) == "True"
operator.itemgetter("flag")(cfg)
ChainMap(cfg, DEFAULTS)["wide"]
MappingProxyType(cfg)["flag"]
copy.deepcopy(cfg)["flag"]
copy.copy(cfg)["sub"]["wide"]
cfg.copy()["flag"]
dict.get(cfg, "flag")
dict.__getitem__(cfg, "flag")
dict.copy(cfg)["flag"]
dict.copy(cfg).get("wide")
"wide" in dict.keys(cfg)
[key for key, value in cfg.items() if value is True]
next(iter(cfg)) != "flag"
max(cfg) == "wide"
isinstance(cfg, dict)
type(cfg) is dict
hasattr(cfg, "keys")
hasattr(cfg, "flag")
getattr(cfg, "flag", True)
bool(cfg)
cfg and cfg["flag"]
cfg["flag"] or cfg["sub"]["wide"]
cfg["flag"] is None
cfg["flag"] == 1
isinstance(cfg["flag"], bool)
type(cfg["flag"]) is bool
cfg["flag"] is False
cfg["flag"] != False
(lambda cfg: cfg["flag"])(cfg)
[part["wide"] for part in [cfg["sub"]]][0]
[*cfg.values()][0]
[*map(cfg.get, ["flag"])][0]
(get := cfg.get)("flag")
next((True for key in cfg if key == "wide"), False)
cfg.setdefault("wide", False)
cfg.pop("wide", False)
cfg.keys() >= {"flag", "wide"}
"""
IN_OBJECTS = """
cfg.flag
getattr(cfg, "flag")
getattr(cfg, "flag", True)
hasattr(cfg, "wide")
hasattr(cfg, "flag")
getattr(cfg, "wide", False)
vars(cfg)["flag"]
vars(cfg).get("wide")
"wide" in vars(cfg)
cfg.__dict__["flag"]
cfg.__dict__.get("wide")
len(vars(cfg)) > 4
cfg.sub.wide
getattr(cfg.sub, "wide", True)
getattr(getattr(cfg, "sub", None), "deep", False)
cfg.sub is None
not cfg.sub
isinstance(cfg.sub, Sub)
type(cfg.sub) is Sub
type(cfg.sub).__name__ == "Sub"
cfg.sub == Sub()
hasattr(cfg.sub, "wide")
isinstance(cfg, SimpleNamespace)
isinstance(cfg, Config)
isinstance(cfg, Other)
type(cfg) is Config
type(cfg).__name__ == "Config"
cfg.__class__ is Config
cfg.__class__.__name__ == "Other"
is_dataclass(cfg)
isinstance(cfg, dict)
hasattr(cfg, "keys")
cfg.sizes == [1, 2]
cfg.sizes == (1, 2)
isinstance(cfg.sizes, list)
3 in cfg.sizes
cfg.sizes[0] is True
len(cfg.sizes) == 2
operator.attrgetter("flag")(cfg)
operator.attrgetter("sub.wide")(cfg)
object.__getattribute__(cfg, "flag")
"True" in str(cfg)
repr(cfg).count("=") > 4
copy.deepcopy(cfg).flag
copy.copy(cfg).sub.wide
Holder(cfg).flag
Holder(cfg).cfg.flag
Holder(cfg).sub.wide
_flag(cfg)
_given(**vars(cfg))
SimpleNamespace(**vars(cfg)).flag
{**vars(cfg)}.get("wide")
cfg.flag is None
cfg.flag == 1
isinstance(cfg.flag, bool)
cfg.flag or cfg.sub.wide
(lambda cfg: cfg.flag)(cfg)
[part.wide for part in [cfg.sub]][0]
bool(cfg)
[name for name, value in vars(cfg).items() if value is True]
json.dumps(vars(cfg), default=str).count("true")
"wide" in dir(cfg)
cfg == copy.copy(cfg)
cfg != copy.deepcopy(cfg)
str(cfg.sizes) == "[1, 2]"
"""
OF_CLASSES = """
cfg.on
cfg.is_on()
cfg.get("flag")
cfg.get("wide", False)
Config.is_on(cfg)
type(cfg).is_on(cfg)
Config.on.fget(cfg)
(on := cfg.is_on)()
asdict(cfg)["flag"]
asdict(cfg)["sub"]["wide"]
asdict(cfg).get("wide")
astuple(cfg)[0]
[one for one in fields(cfg) if one.name == "wide"]
any(getattr(cfg, one.name) is True for one in fields(cfg))
replace(cfg).flag
replace(cfg, extra=x).flag
replace(cfg, flag=x > 3).flag
replace(cfg, extra=x).on
replace(cfg, extra=x).sub.wide
cfg == Config(False, [1, 2], Sub())
Config(**vars(cfg)).flag
cfg.extra is None
Config(**{**vars(cfg), "flag": x > 3}).is_on()
hasattr(Config, "wide")
getattr(Config, "flag")
Config.flag
type(cfg)().flag
Other().on
operator.methodcaller("is_on")(cfg)
cfg.is_on.__self__.flag
cfg.__eq__(Config())
hash(str(cfg)) == hash(str(Config(False, [1, 2], Sub())))
"""

DICT_WRITES = """
cfg["flag"] = x > 3
cfg.update(flag=x > 3)
cfg |= {"flag": x > 3}
dict.__setitem__(cfg, "flag", x > 3)
dict.update(cfg, flag=x > 3)
operator.setitem(cfg, "flag", x > 3)
alias = cfg; alias["flag"] = x > 3
cfg.__setitem__("flag", x > 3)
[cfg][0]["flag"] = x > 3
Holder(cfg).cfg["flag"] = x > 3
(lambda part: part.update(flag=x > 3))(cfg)
getattr(cfg, "update")(flag=x > 3)
for key in cfg: cfg[key] = x > 3 if key == "flag" else cfg[key]
cfg.update({key: x > 3 for key in ["flag"]})
update = cfg.update; update(flag=x > 3)
_ = [part.update(flag=x > 3) for part in [cfg]]
locals()["cfg"]["flag"] = x > 3
cfg["flag"], y = x > 3, 1
cfg["flag"] |= x > 3
exec("cfg['flag'] = x > 3")
"""
DICT_PART_WRITES = """
cfg["sub"]["wide"] = x > 3
sub = cfg["sub"]; sub["wide"] = x > 3
cfg["sub"] = {"wide": x > 3}
cfg["sub"].update(wide=x > 3)
for part in cfg.values(): part.update(wide=x > 3) if isinstance(part, dict) else None
dict(cfg)["sub"]["wide"] = x > 3
{**cfg}["sub"]["wide"] = x > 3
cfg.copy()["sub"]["wide"] = x > 3
copy.copy(cfg)["sub"]["wide"] = x > 3
Holder(cfg).sub["wide"] = x > 3
dict.get(cfg, "sub")["wide"] = x > 3
dict.__setitem__(cfg["sub"], "wide", x > 3)
dict.copy(cfg)["sub"]["wide"] = x > 3
(cfg | {})["sub"]["wide"] = x > 3
list(cfg.values())[-1]["wide"] = x > 3
{**DEFAULTS, **cfg}["sub"]["wide"] = x > 3
ChainMap(cfg)["sub"]["wide"] = x > 3
operator.itemgetter("sub")(cfg)["wide"] = x > 3
dict.update(cfg["sub"], wide=x > 3)
"""
LIST_WRITES = """
cfg["sizes"].extend([3] * (x > 3))
cfg["sizes"] += [3] * (x > 3)
cfg["sizes"][:] = [1, 2, 3][: 2 + (x > 3)]
cfg["sizes"][1] = 2 + (x > 3)
sizes = cfg["sizes"]; sizes += [3] * (x > 3)
Holder(cfg).cfg["sizes"].extend([3] * (x > 3))
list(cfg.values())[1].extend([3] * (x > 3))
cfg["sizes"] = [1, 2, 3][: 2 + (x > 3)]
{**cfg}["sizes"].extend([3] * (x > 3))
cfg.get("sizes").extend([3] * (x > 3))
"""
OBJECT_WRITES = """
cfg.flag = x > 3
setattr(cfg, "flag", x > 3)
setattr(cfg, "fl" + "ag", x > 3)
cfg.__dict__["flag"] = x > 3
vars(cfg)["flag"] = x > 3
vars(cfg).update(flag=x > 3)
cfg.__dict__.update(flag=x > 3)
object.__setattr__(cfg, "flag", x > 3)
alias = cfg; alias.flag = x > 3
d = cfg.__dict__; d["flag"] = x > 3
d = vars(cfg); d["flag"] = x > 3
cfg.__dict__ = {**vars(cfg), "flag": x > 3}
cfg.flag, y = x > 3, 1
cfg.__setattr__("flag", x > 3)
type(cfg).__setattr__(cfg, "flag", x > 3)
Holder(cfg).cfg.flag = x > 3
cfg.flag |= x > 3
[cfg][0].flag = x > 3
(lambda part: setattr(part, "flag", x > 3))(cfg)
getattr(cfg, "__dict__")["flag"] = x > 3
object.__getattribute__(cfg, "__dict__")["flag"] = x > 3
_ = [setattr(cfg, name, x > 3) for name in ["flag"]]
dict.update(vars(cfg), flag=x > 3)
dict.__setitem__(cfg.__dict__, "flag", x > 3)
operator.setitem(vars(cfg), "flag", x > 3)
for name in list(vars(cfg)): setattr(cfg, name, x > 3 if name == "flag" else getattr(cfg, name))
exec("cfg.flag = x > 3")
cfg.__init__(**{**vars(cfg), "flag": x > 3})
"""
OBJECT_PART_WRITES = """
cfg.sub.wide = x > 3
sub = cfg.sub; sub.wide = x > 3
vars(cfg.sub)["wide"] = x > 3
vars(cfg)["sub"].wide = x > 3
vars(cfg)["sub"].__dict__["wide"] = x > 3
copy.copy(cfg).sub.wide = x > 3
Holder(cfg).sub.wide = x > 3
object.__setattr__(cfg.sub, "wide", x > 3)
getattr(cfg, "sub").wide = x > 3
cfg.__dict__["sub"].wide = x > 3
{**vars(cfg)}["sub"].wide = x > 3
operator.attrgetter("sub")(cfg).wide = x > 3
SimpleNamespace(**vars(cfg)).sub.wide = x > 3
list(vars(cfg).values())[2].wide = x > 3
vars(cfg)["sub"] = SimpleNamespace(wide=x > 3)
vars(vars(cfg)["sub"])["wide"] = x > 3
object.__getattribute__(cfg, "sub").wide = x > 3
cfg.sub = SimpleNamespace(wide=x > 3)
"""

CONFIG: dict[str, Any] = {"flag": False, "sizes": [1, 2], "sub": {"wide": False}}
CHANGED: tuple[dict[str, Any], ...] = (
    *OFF_ON,
    {"flag": 0},
    {"wide": True},
    {"wide": False},
    {"a": 0},
    {"sizes": (1, 2)},
    {"sizes": [True, 2]},
    {"sizes": [1, 3]},
    {"sizes": []},
    {"sizes": ...},
    {"sub": {"wide": True}},
    {"sub": {"wide": False, "deep": True}},
    {"sub": {}},
    {"sub": None},
)


def _split(table: str) -> list[str]:
    return table.strip().splitlines()


def _module(kind: str, **lines: str) -> str:
    """A decision, and of what stands above it, what it needs: nothing else takes time to be stripped."""
    parts, text = HEAD.strip().split("\n\n\n"), RUN.format(**lines)
    needed = ["# Config, Sub, Other"] if kind == "object" else []
    for part in reversed(parts[1:]):
        name = next(iter(re.findall(r"^(?:class |def )?(\w+)\b(?=[ (:])", part, re.MULTILINE)))
        if re.search(rf"\b{name}\b", "".join([text, *needed])):
            needed.insert(0, part)
    return "\n\n\n".join([parts[0], *needed, text.strip()]) + "\n"


def _cases(kind: str, tests: list[str], content: dict[str, Any], changed: tuple[dict[str, Any], ...]) -> Iterator[Case]:
    for test in tests:
        other = (("object", {**content, **config("Other")}), run(1)) if kind == "object" else ()
        module = _module(kind, write="pass", test=test)
        yield Case(
            f"{kind}: if {test}", module, content, (run(1),), changed, ((run(4),),), uses=(other,) if other else (), kind=kind
        )


def _written(kind: str, writes: list[str], tests: list[str], content: dict[str, Any]) -> Iterator[Case]:
    for write in writes:
        for test in tests:
            module = _module(kind, write=write, test=test)
            yield Case(f"{kind}: {write}, then if {test}", module, content, (run(1),), other_calls=((run(4),),), kind=kind)


OBJECT = config(**(CONFIG | {"sub": config("Sub", wide=False)}))
OBJECT_CHANGED = tuple(
    {"sub": config("Sub", **one["sub"])} if isinstance(one.get("sub"), dict) and "deep" not in one["sub"] else one
    for one in CHANGED
    if not one.keys() & {"wide", "a"}
)

CASES = (
    *_cases("dict", _split(IN_DICTS), CONFIG, CHANGED),
    *_cases("namespace", _split(IN_OBJECTS), CONFIG, CHANGED),
    *_cases("arguments", _split(IN_OBJECTS)[::3], CONFIG, CHANGED),
    *_cases("object", _split(IN_OBJECTS) + _split(OF_CLASSES), OBJECT, OBJECT_CHANGED),
    *_written("dict", _split(DICT_WRITES), ['cfg["flag"]', 'cfg.get("flag")', "{**cfg}['flag']"], CONFIG),
    *_written("dict", _split(DICT_PART_WRITES), ['cfg["sub"]["wide"]', "Holder(cfg).sub['wide']"], CONFIG),
    *_written("dict", _split(LIST_WRITES), ['3 in cfg["sizes"]', 'len(cfg["sizes"]) > 2', 'cfg["sizes"][-1] == 3'], CONFIG),
    *_written(
        "namespace", [one for one in _split(OBJECT_WRITES) if "__dict__ =" not in one], ["cfg.flag", "Holder(cfg).flag"], CONFIG
    ),
    *_written("arguments", _split(OBJECT_WRITES), ["cfg.flag"], CONFIG),
    *_written("object", _split(OBJECT_WRITES), ["cfg.flag", "cfg.on", "cfg.is_on()"], OBJECT),
    *_written("namespace", _split(OBJECT_PART_WRITES), ["cfg.sub.wide"], CONFIG),
    *_written("object", _split(OBJECT_PART_WRITES), ["cfg.sub.wide"], OBJECT),
)
