"""A seeded author of small packages full of flags, and of other uses of them.

Every statement template is one habit of legacy code; expressions come from what is in scope. Programs need not make sense.
They must run under the pinned use, which is why what may fail stands inside a `try` or is guarded.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from textwrap import indent
from typing import Any

from tests.differential import KINDS, Program, Step
from tests.fuzz import configs
from tests.fuzz.modules import Modules
from tests.fuzz.templates import HEADER, STATE
from tests.handing import CLASS


class Author(Modules):
    """Writes one program."""

    # -- statements ---------------------------------------------------------------------------------------------

    def block(self, depth: int, count: int | None = None) -> str:
        known = len(self.flags)
        lines = [self.statement(depth) for _ in range(count or self.random.randint(1, 3))]
        del self.flags[known:]  # bound in a branch only
        return "\n".join(lines)

    def statement(self, depth: int) -> str:
        if depth > 2 or self.random.random() < 0.25:
            return f"out.append({self.value()})"
        return self.random.choice(self.templates())(depth + 1)

    def templates(self) -> list[Callable[[int], str]]:
        return [
            *[self._if] * 5, *[self._assign] * 4, *[self._rewrite] * 3, *[self._loop] * 2, *[self._try] * 3, self._closure,
            self._while, self._return, self._match, self._suppress, self._items, *[self._write] * 2, self._container,
            *[self._object] * 2, *[self._call] * 3, self._toggle, self._carrier, self._log, self._copy, self._generator,
            self._delete, self._patch, self._partial, self._keys, self._environment, self._dead,
            *[self._state] * 2, *[self._box] * 2, *[self._caught] * 2, *self.module_templates(),
            *[self._configured] * (0 if self.access.kind == "config" else 4),
        ]  # fmt: skip

    def _if(self, depth: int) -> str:
        text = f"if {self.flag()}:\n{_in(self.block(depth))}"
        if self.random.random() < 0.3:
            text += f"\nelif {self.flag()}:\n{_in(self.block(depth))}"
        if self.random.random() < 0.5:
            text += f"\nelse:\n{_in(self.block(depth))}"
        return text

    def _assign(self, depth: int) -> str:
        name, other, value, second = self.name("flag"), self.name("flag"), self.flag(), self.flag()
        text = self.random.choice(
            [
                f"{name} = {other} = {value}",
                f"{name}, {other} = {value}, {second}",
                f"{name} = {other} = None\nif ({name} := {value}) and {second}:\n    {other} = True",
                f"{name} = bool({value})\n{other} = {name}",
                f"{other} = {value}\n{name} = {other} or {second}",
                f"{name} = False\n{name} |= bool({value})\n{other} = {name}",
                f"{name} = {value}\n{other} = {name} if {name} is not None else {second}",
                f"({name}, *{other}) = [{value}, {second}]",
            ]
        )
        self.flags += [name, other]
        return text

    def _rewrite(self, depth: int) -> str:
        name = self.name("flag")
        condition = self.random.choice([self.data(), self.flag(), self.data()])
        value, other = self.flag(), self._pick("True", "False", "None", self.flag())
        text = f"{name} = {value}\nif {condition}:\n    {name} = {other}"
        self.flags.append(name)
        return text

    def _loop(self, depth: int) -> str:
        name = self.name("flag")
        leap = self.random.choice(["break", "continue", "pass", f"{name} = True"])
        test = self._pick("item > 2", self.flag())
        text = f"{name} = {self.flag()}\nfor item in items:\n    if {test}:\n        {leap}\n"
        text += f"    {name} = {self.random.choice(['item > 1', self.flag(), name])}\n{_in(self.block(depth, 1))}"
        if self.random.random() < 0.3:
            text += f"\nelse:\n    {name} = True"
        self.flags.append(name)
        return text

    def _try(self, depth: int) -> str:
        name, mode = self.name("flag"), self.access.at("mode")
        risky = self._pick(
            f"{name} = {self.read()}",
            f"{name} = cfg['missing']['use']",
            f"{name} = items[2] > 1",
            f"{name} = 10 // (x - 3)",
            f"{name} = TABLE[{mode}]",
            f"{name} = int({mode})",
            f"{name} = {self.access.at('sub.missing.size')}",
            f"{name} = TABLE[x]",
        )
        caught = self.random.choice(["Exception", "Exception", "(AttributeError, KeyError, TypeError)", "ValueError"])
        text = f"{name} = False\ntry:\n    {risky}\n{_in(self.block(depth, 1))}\nexcept {caught}:\n    {name} = {self.flag()}"
        if caught != "Exception":
            text += f"\nexcept Exception:\n{_in(self.block(depth, 1))}"
        if self.random.random() < 0.3:
            text += f"\nfinally:\n    out.append({name})"
        self.flags.append(name)
        return text

    def _closure(self, depth: int) -> str:
        name, function = self.name("flag"), self.name("inner")
        change = self.random.choice(["", f"    nonlocal {name}\n    {name} = {self.flag()}\n"])
        text = f"{name} = {self.flag()}\ndef {function}(y):\n{change}    if {name}:\n        return y * 2\n    return y\n"
        text += (
            f"out.append({function}(x))\n{self.random.choice(['pass', f'{name} = {self.data()}'])}\nout.append({function}(3))"
        )
        self.flags.append(name)
        return text

    def _while(self, depth: int) -> str:
        return f"while {self.random.choice(['False', self.flag()])}:\n{_in(self.block(depth, 1))}\n    break"

    def _return(self, depth: int) -> str:
        return f"if {self.flag()}:\n    return out"

    def _match(self, depth: int) -> str:
        name = self.name("flag")
        subject = self.random.choice([self.access.at("mode"), self.read()])
        text = f"match {subject}:\n    case 'first':\n        {name} = {self.flag()}\n"
        text += f"    case None if {self.data()}:\n        {name} = True\n    case _:\n        {name} = {self.flag()}"
        self.flags.append(name)
        return text

    def _suppress(self, depth: int) -> str:
        kinds = self._pick("Exception", "Exception", "BaseException", "AttributeError, KeyError, TypeError")
        return f"with suppress({kinds}):\n{_in(self.block(depth, 2))}\n    out.append({self.access.at('missing.deep')})"

    def _items(self, depth: int) -> str:
        walked = self.random.choice(self.access.items())
        test = self.random.choice(["value", "value is None", "key == 'use'", "value == 1", "isinstance(value, str)"])
        name = self.name("flag")
        found = self._pick("key", "True")
        text = f"{name} = False\nfor key, value in {walked}:\n    if {test}:\n        {name} = {found}"
        self.flags.append(name)
        return text

    def _write(self, depth: int) -> str:
        last = self.path().split(".")[-1]
        options = [self.access.put("cfg", f"sub.{last}", self.flag()) for _ in range(4)]
        if last != "sub":
            options.append(self.access.put("cfg", last, self.flag()))
        if last not in ("sub", "mode"):
            options.append(self.access.removal(last))
        text = self.random.choice(options)
        return f"if {self.random.choice([self.data(), self.data(), self.flag()])}:\n{_in(text)}"

    def _container(self, depth: int) -> str:
        name = self.name("opts")
        text = f"{name} = {{'on': {self.flag()}, 'off': {self.flag()}}}\n"
        text += self._pick(
            "",
            f"if {self.data()}:\n    {name}['on'] = {self.flag()}\n",
            f"alias = {name}\nalias.update(off={self.flag()})\n",
            f"{name} |= {{'on': {self.flag()}}}\n",
        )
        self.flags += [f"{name}['on']", f"{name}.get('off')"]
        return text + f"if {name}['on']:\n{_in(self.block(depth, 1))}"

    def _object(self, depth: int) -> str:
        name = self.name("thing")
        text = f"{name} = {self.random.choice(['Base', 'Derived', '(Derived if ' + self.flag() + ' else Base)'])}(cfg, x)\n"
        text += self._pick(
            "",
            "",
            f"{name}.flag = {self.flag()}\n",
            f"if {self.data()}:\n    Base.shared = True\n",
            f"if {self.data()}:\n    setattr({name}, 'mode', 'second')\n",
            self.access.put(f"{name}.cfg", "sub.size", self.flag()) + "\n",
            f"if {self.data()}:\n    {name}.hook = lambda y: -y\n",
            f"{name}.chosen = lambda: {self.flag()}\n",
        )
        self.flags += [f"{name}.flag", f"{name}.chosen()"]
        return text + f"out.append({name}.step(x))"

    def _call(self, depth: int) -> str:
        if not self.functions:
            return f"out.append({self.value()})"
        function = self.random.choice(self.functions)
        arguments = self.random.choice(
            [
                f"x, {self.flag()}",
                f"x, flag={self.flag()}",
                "x",
                f"x, {self.random.choice(['True', 'False'])}",
                f"*[x, {self.flag()}]",
            ]
        )
        first = "cfg, " if function.endswith("_c") else ""
        call = f"{function}({first}{arguments})"
        return self._pick(
            f"out.append({call})",
            f"out.append({call})",
            f"if {call}:\n{_in(self.block(depth, 1))}",
            f"out.append({call} or x)",
            f"out.append(apply({function}, {first}x, {self.flag()}))",
        )

    def _toggle(self, depth: int) -> str:
        one = self.random.choice(["widen(True)", f"widen({self.flag()})", "globals()['DEEP'] = True", "TABLE['first'] = 0"])
        return f"if {self.data()}:\n    {one}\nif WIDE:\n{_in(self.block(depth, 1))}"

    def _carrier(self, depth: int) -> str:
        name = self.name("held")
        made = self._pick(
            f"Options(left={self.flag()}, right={self.flag()})",
            f"Pair({self.flag()}, {self.flag()})",
            f"Options({self.flag()})",
            f"SimpleNamespace(left={self.flag()}, right=None)",
            f"Pair(left={self.flag()}, right=x > 2)",
        )
        self.flags += [f"{name}.left", f"{name}.right"]
        return f"{name} = {made}\nif {name}.left:\n{_in(self.block(depth, 1))}"

    def _log(self, depth: int) -> str:
        return self._pick(
            "logger.info('%s', x)",
            "logger.info('%s', out.append(1))",
            "logger.info('%s', SEEN.append(x))",
            "logger.debug(f'{x}')",
            "walker = iter(items)\nlogger.info('%s', list(walker))\nout.extend(walker)",
        )

    def _copy(self, depth: int) -> str:
        name = self.name("mine")
        made = self.random.choice(self.access.copies())
        write = self.random.choice(["pass", *(self.access.put(name, path, self.flag()) for path in ("sub.use", "alpha"))])
        outer, self.flags = self.flags, []
        read = self.read(name)
        self.flags = outer
        known = self.path()
        text = f"{name} = {made}\nif {self.data()}:\n{_in(write)}\nout.append(1 if _get({name}, {known!r}) else 0)\n"
        return text + f"with suppress(Exception):\n    if {read}:\n        out.append('copied')"

    def _generator(self, depth: int) -> str:
        function = self.name("walk")
        loop = f"for value in values:\n    if {self.flag()}:\n        yield value * 2\n    yield value"
        text = f"def {function}(values):\n{_in(loop)}\n"
        return text + self.random.choice(
            [f"out.extend({function}(items))", f"made = {function}(items)\nout.append(x)\nout.extend(made)"]
        )

    def _delete(self, depth: int) -> str:
        name = self.name("gone")
        return f"{name} = {self.flag()}\nif {name}:\n    out.append('gone')\ndel {name}"

    def _patch(self, depth: int) -> str:
        change = self._pick("Base.chosen = lambda self: True", "Derived.shared = True", "SEEN.append(9)")
        return f"if {self.data()}:\n    {change}"

    def _partial(self, depth: int) -> str:
        if not self.functions:
            return "pass"
        function = self.random.choice(self.functions)
        first = "cfg, " if function.endswith("_c") else ""
        return f"out.append(functools.partial({function}, flag={self.flag()})({first}x))"

    def _keys(self, depth: int) -> str:
        return self.random.choice(self.access.keys(self.flag()))

    def _configured(self, depth: int) -> str:
        """What only plain configs have."""
        found = self.access.statements(self.name("own"), self.flag())
        if not found:
            return self._keys(depth)
        text, flags = self.random.choice(found)
        self.flags += flags
        return f"{text}\nif {self.flag()}:\n{_in(self.block(depth, 1))}"

    def _environment(self, depth: int) -> str:
        return self._pick(
            "if os.environ.get('PKG_DEEP'):\n    out.append('env')",
            "if x == 7:\n    os.environ['PKG_WIDE'] = '1'",
            "if 'PKG_MODE' in os.environ:\n    out.append('mode')",
        )

    def _dead(self, depth: int) -> str:
        name = self.name("unused")
        return f"{name} = {self.random.choice([self.value(), 'out.append(5)', 'SEEN.pop() if SEEN else None', self.read()])}"

    def _state(self, depth: int) -> str:
        change = self.random.choice(
            ["state.FLAG = True", "state.set_flag(True)", f"setattr(state, 'FLAG', {self.flag()})", "state.TALL = True", "pass"]
        )
        use = self._pick(
            f"out.append(widened(x, {self.flag()}))",
            f"out.append(state.widened(x, wide={self.data()}))",
            f"if state.FLAG:\n{_in(self.block(depth, 1))}",
            f"if TALL or state.TALL:\n{_in(self.block(depth, 1))}",
        )
        return f"if {self.data()}:\n    {change}\n{use}"

    def _box(self, depth: int) -> str:
        name = self.name("box")
        test = self.random.choice([name, f"len({name}) > 2", f"{name}[2]", f"{name}.wide", f"{name}.limit", f"not {name}"])
        unused = self.random.choice(["pass", f"unused = {name}[1]", f"unused = len({name})", f"unused = {name}.wide"])
        return f"{name} = Box({self.random.choice(['x', 'len(items)'])})\n{unused}\nif {test}:\n{_in(self.block(depth, 1))}"

    def _caught(self, depth: int) -> str:
        """A handler that fires around something that may be stripped."""
        fails = self.random.choice(
            [f"out.append({self.access.at('missing.deep')})", "items[9]", "int('x')", "out.append(10 // (x - 1))"]
        )
        handler = self._pick("except Exception", "except Exception", "except BaseException", "except")
        return f"try:\n{_in(self.block(depth, 2))}\n    {fails}\n{handler}:\n    out.append('caught')"

    # -- functions and the whole --------------------------------------------------------------------------------

    def function(self) -> str:
        """A helper with a flag of its own; private or public, decorated or not, with or without the config."""
        name = self.name(self.random.choice(["helper", "_helper"]))
        takes = self.random.random() < 0.5
        name += "_c" if takes else ""
        outer, self.flags, config = self.flags, ["flag"], self.paths
        body = self.block(1) if takes else _without_config(self)
        self.flags, self.paths = outer, config
        first = "cfg, " if takes else ""
        decorator = "@noted\n" if self.random.random() < 0.15 else ""
        default = self.random.choice(["False", "None", "True", "WIDE"])
        text = f"{decorator}def {name}({first}x, flag={default}):\n    items, out = [x, 2], []\n{_in(body)}\n"
        result = self._pick("out", "bool(out)", "flag", "x if flag else out")
        text += f"    if flag:\n        out.append('flag')\n    return {result}\n"
        self.functions.append(name)
        return text

    def write(self) -> Program:
        field, chosen = (
            self.read(),
            self.random.choice(["False", "True", "self.count > 1", "self.flag", "_get(self.cfg, 'alpha')"]),
        )
        derived = self.random.choice(["shared = True", "shared = False", "pass"])
        deep = self.random.choice(["False", "os.environ.get('PKG_DEEP') == '1'", "not WIDE"])
        head = HEADER.format(
            get=self.access.get,
            reader=self.access.reader,
            helpers=configs.helpers(self.access),
            classes=self.access.classes and f"\n\n{self.access.classes}",
            field=field,
            chosen=chosen,
            derived=derived,
            deep=deep,
            limit=self.random.choice(["True", "False", "WIDE"]),
            star=self._pick("", "", "from pkg.parts import *\n"),
        )
        helpers = "\n\n".join(self.function() for _ in range(self.random.randint(1, 3)))
        option = self.random.choice(["None", "False", "'first'"])
        self.flags = ["option"]
        body = "\n".join(self.statement(0) for _ in range(self.random.randint(3, 7)))
        run = f"def run(cfg, x=1, items=(1, 2), option={option}):\n    out = []\n{_in(body)}\n    return out, SEEN\n"
        calls = [("run", "run", self._arguments(), {}) for _ in range(self.random.randint(1, 3))]
        if self.random.random() < 0.5:
            calls += [("make", self._pick("Base", "Derived"), (2,), {}), ("method", "step", (1,), {})]
        pinned: tuple[Step, ...] = (self.handed(), *calls)
        modules = {"state": STATE.format(state=self.random.choice(["True", "False"])), **self.further_modules()}
        strangers = {name: modules.pop(name) for name in ("wide", "wider") if self.random.random() < 0.15}
        others = (*self._others(calls), *self.outside_uses())
        return Program(f"{head}\n\n{helpers}\n\n{run}", pinned, others, modules, strangers)

    def _arguments(self) -> tuple[Any, ...]:
        return (self.random.choice([1, 2, 1, 4]), self.random.choice([[1, 2], [3], [1, 2, 3], []]))

    def _others(self, calls: list[Step]) -> list[tuple[Step, ...]]:
        other: list[Step] = [("run", "run", (x, items), {}) for x, items in ((7, [3, 4]), (4, []), (2, [5, 1, 1]), (3, [1]))]
        uses: list[tuple[Step, ...]] = [(self.handed(), step) for step in other]
        uses.append((self.handed(), *other))
        uses += [(self.handed(), ("env", f"PKG_{name}", "1"), *calls) for name in ("WIDE", "DEEP", "TALL")]
        uses.append((self.handed(), ("env", "PKG_MODE", "second"), *calls))
        uses += [(self.handed(), ("run", "run", (1, [1, 2]), {"option": value})) for value in (True, "second")]
        for function in (name for name in self.functions if not name.startswith("_")):
            kind = "run" if function.endswith("_c") else "call"
            uses += [(self.handed(), (kind, function, (2, value), {})) for value in (True, False)]
        for changed in self._changes():
            uses.append((self.handed(changed), *calls))
            uses.append((self.handed(changed), self.random.choice(other)))
        path = self.random.choice([path for path in self.paths if path not in ("sub", "sub.deep")])
        uses.append((self.handed(), *calls, ("set", path, True), *calls))
        for name in ("Base", "Derived"):
            step = ("method", "step", (self.random.randint(0, 5),), {})
            made = (self.handed(), ("make", name, (2,), {}), step)
            uses.append(made)
            if self.access.kind == "config":
                uses.append((*made, ("set", path, self.random.choice([True, None, "second"])), step, step))
        return uses + self._strange_configs(calls)

    def _strange_configs(self, calls: list[Step]) -> list[tuple[Step, ...]]:
        """The same content as a config of another kind, of another class, or only a part of it; one part under two keys."""
        if self.access.kind == "config":
            return []
        uses: list[tuple[Step, ...]] = [((kind, self.config), *calls) for kind in KINDS if kind != self.access.kind]
        uses.append((self.handed(), ("part", "sub"), *calls))
        content = self.access.content(self.config)
        if CLASS in content:
            uses.append((("object", {**content, CLASS: "Wider"}), *calls))
        deep = {**self.config, "other": copy.deepcopy(self.config["sub"])}
        uses.append((self.handed(deep), ("share", "sub", "other"), *calls))
        return uses

    def _changes(self) -> list[dict[str, Any]]:
        changes = []
        for path in [*self.paths, "missing", "sub.missing", "other.use", "sub.use", "extra", "sub.deep.use"]:
            for value in self.random.sample([True, False, None, 1, 0, "second", "first", [3], {}, ...], 2):
                changed = copy.deepcopy(self.config)
                if _put(changed, path.split("."), value) and changed != self.config:
                    changes.append(changed)
        return changes


def author(seed: int) -> Program:
    """The program of a seed."""
    return Author(seed).write()


def _without_config(writer: Author) -> str:
    """A body that reads no config: only data and the flag decide."""
    test = writer.random.choice(["flag", f"flag and ({writer.data()})", f"flag or ({writer.data()})", "WIDE", "not flag"])
    change = writer.random.choice(["", f"if {writer.data()}:\n    flag = not flag\n", "flag = bool(flag)\n"])
    return f"{change}if {test}:\n    out.append(x * 2)\nelse:\n    out.append(x)"


def _put(config: dict[str, Any], path: list[str], value: object) -> bool:
    node: Any = config
    for part in path[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            return False
    if value is ...:
        return node.pop(path[-1], ...) is not ...
    node[path[-1]] = value
    return True


def _in(text: str) -> str:
    return indent(text, "    ")
