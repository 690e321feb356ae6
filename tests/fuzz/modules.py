"""Further modules of a program, and the habits that need them: options of parts, settings, lazy imports, registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.differential import Step
from tests.fuzz.expressions import Expressions

PARTS = '''
"""Parts that know no config: options decide."""

import functools
from dataclasses import dataclass, field, replace

{exports}
LEVEL = {level}
_REGISTRY = {{}}


def register(name):
    def add(kind):
        _REGISTRY[name] = kind
        return kind
    return add


def build(name, *arguments, **options):
    return _REGISTRY[name](*arguments, **options)


@dataclass
class Settings:
    wide: bool = {wide}
    mode: str = "first"
    size: int = 2
    parts: list = field(default_factory=list)

    @classmethod
    def of(cls, cfg, **changes):
        return replace(cls(wide=bool({alpha}), mode={mode}), **changes)

    def __post_init__(self):
        {post}

    @property
    def large(self):
        return self.wide and self.size > {limit}


def scaled(x, factor=1, wide=False, *, mode=None, strict={strict}):
    if wide:
        x = x + 10
    if mode == "second":
        x = x + 20
    if strict and x > {limit}:
        return None
    return x * factor


def forwarded(x, wide=False, **options):
    {before}
    return scaled(x, wide=wide, **options)


def handed(x, quiet=True, mode=None):
    return (x if not quiet else 0, quiet or x > 2, mode and x, scaled(x, mode=mode))


class Inner:
    def __init__(self, size, strict=False, note=None):
        self.size = size if not strict else 0
        self.parts = (strict or size, note)
        self.note = note


@register("layer")
class Layer:
    kind = {kind}

    def __init__(self, size, bias={bias}, mode="first", hook=None, extra=None):
        self.size = size
        self.bias = bias
        self.mode = mode
        self.hook = hook
        self.extra = extra
        self.calls = 0
        self.unread = {unread}
        self.inner = Inner(size{inner})

    def __call__(self, x):
        self.calls += 1
        y = x * self.size + self.inner.size
        if self.bias:
            y = y + 1
        if self.mode == "second":
            y = -y
        if self.hook is not None:
            y = self.hook(y)
        return self.after(y)

    def after(self, y, twice=False):
        if twice:
            y = y * 2
        {after}
        return y


@register("stack")
class Stack(Layer):
    def __init__(self, *layers, residual=False, **options):
        super().__init__(len(layers), **options)
        self.layers = list(layers)
        self.residual = residual

    def __call__(self, x):
        y = x
        for layer in self.layers:
            y = layer(y)
        if self.residual:
            y = y + x
        return self.after(y, twice={twice})
'''

WIDE = """
from pkg.wider import WIDER, widen_more

__all__ = ["widest", "unknown"]


def widest(x, more=False):
    if more:
        x = widen_more(x)
    return x + WIDER


def unknown(x):
    return widest(x, True)
"""

WIDER = """
WIDER = 5000


def widen_more(x):
    return x + 7000
"""


class Modules(Expressions):
    """Statements about what lies in other modules."""

    def module_templates(self) -> list[Callable[[int], str]]:
        return [
            *[self._layer] * 4, *[self._settings] * 3, *[self._scaled] * 3, *[self._lazy] * 2, self._registry,
            *[self._plain_try] * 2, *[self._note] * 2, *[self._inlined] * 2,
            *[self._introspection] * 2, *[self._roundabout] * 2, self._patched_part,
        ]  # fmt: skip

    def _layer(self, depth: int) -> str:
        name = self.name("layer")
        options = self._pick(
            "", "", "", f", {self.flag()}", f", bias={self.flag()}", f", mode=('second' if {self.flag()} else 'first')",
            f", hook=((lambda y: y + 3) if {self.flag()} else None)", f", **{{'bias': {self.flag()}}}",
            f", extra={self.flag()}",
        )  # fmt: skip
        made = self._pick(
            f"parts.Layer(2{options})", f"parts.Layer(2{options})", f"parts.Stack(parts.Layer(x){options and ''})"
        )
        use = self._pick(
            f"out.append({name}(x))",
            f"out.append({name}(x))",
            f"if {self.data()}:\n    {name}.bias = {self.flag()}\nout.append({name}(x))",
            f"out.append(({name}(x), {name}.calls))",
            f"out.append({name}.after(x, twice={self._pick('False', self.data(), self.flag())}))",
            f"out.append(getattr({name}, {self._pick(repr('unread'), repr('extra'), repr('bias'))}, None))",
            f"out.append(sorted(vars({name}))) if {self.data()} else None\nout.append({name}(x))",
            f"{name}.__dict__.update(extra={self.flag()})\nout.append({name}.extra)",
            f"out.append({name}.inner.parts)",
        )
        self.flags.append(self._pick(f"{name}.bias", f"{name}.extra", f"{name}.kind"))
        return f"{name} = {made}\n{use}"

    def _settings(self, depth: int) -> str:
        name, mode = self.name("settings"), self.access.at("mode")
        made = self._pick(
            "parts.Settings()",
            f"parts.Settings({self.flag()})",
            f"parts.Settings(wide={self.flag()}, size=x)",
            "parts.Settings.of(cfg)",
            f"parts.Settings.of(cfg, wide={self.flag()})",
            f"parts.Settings(**{{'wide': {self.flag()}, 'mode': {mode}}})",
            f"replace(parts.Settings(), wide={self.flag()})",
            "OmegaConf.structured(parts.Settings)",
        )
        change = self._pick("", "", f"if {self.data()}:\n    {name}.wide = {self._pick('True', 'False')}\n")
        use = self._pick(
            f"out.append(10 if {name}.wide else 20)",
            f"out.append(repr({name}))",
            f"if {name}.mode == 'second':\n    out.append('second')",
            f"out.append({name}.size)",
            f"if getattr({name}, 'large', False):\n    out.append('large')",
        )
        self.flags += [f"{name}.wide", f"({name}.mode == 'second')"]
        return f"{name} = {made}\n{change}{use}"

    def _scaled(self, depth: int) -> str:
        function = self._pick("parts.scaled", "parts.scaled", "parts.forwarded", "parts.handed")
        mode = self.access.at("mode")
        arguments = {
            "parts.scaled": [
                "",
                ", 2",
                f", 1, {self.flag()}",
                f", wide={self.flag()}",
                f", mode={self.flag()}",
                ", strict=x > 3",
            ],
            "parts.forwarded": ["", f", {self.flag()}", f", mode={self.flag()}", ", factor=3", f", **{{'mode': {mode}}}"],
            "parts.handed": ["", ", False", f", quiet={self.flag()}", ", mode='second'", f", mode={self.flag()}"],
        }[function]
        return f"out.append({function}(x{self.random.choice(arguments)}))"

    def _lazy(self, depth: int) -> str:
        test = self._pick(self.flag(), self.data(), self.flag())
        text = (
            f"if {test}:\n    from pkg.wide import widest\n    out.append(widest(x{self._pick('', ', True', ', more=x > 2')}))"
        )
        if self.random.random() < 0.3:
            inside = "\n".join(f"    {line}" for line in text.splitlines())
            text = f"try:\n{inside}\nexcept {self._pick('ImportError', 'Exception')}:\n    out.append('no module')"
        return text

    def _registry(self, depth: int) -> str:
        return self._pick(
            f"out.append(parts.build('layer', 2, bias={self.flag()})(x))",
            f"out.append(parts.build('stack', parts.Layer(3), residual={self.flag()})(x))",
            f"out.append(parts.build('layer', size=2, mode={self._pick(self.access.at('mode'), repr('first'))})(x))",
        )

    def _plain_try(self, depth: int) -> str:
        name = self.name("tried")
        risky, caught = self.random.choice(
            [
                ("x + len(items)", "TypeError"),
                ("items[0]", "(IndexError, KeyError)"),
                ("parts.scaled(x) + 1", "TypeError"),
                ("int(str(x))", "ValueError"),
                (self.access.at("sub.use"), "(AttributeError, KeyError)"),
                ("10 // x", "Exception"),
            ]
        )
        return f"try:\n    {name} = {risky}\nexcept {caught}:\n    {name} = 0\nout.append({name})"

    def _note(self, depth: int) -> str:
        name = self.name("noted")
        note = self._pick(
            f"{name}.comment = {self.flag()}",
            f"{name}.total = 0\n{name}.total += x",
            f"{name}.extra = [x]\n{name}.extra.append(x)",
        )
        read = self._pick(
            "", "", f"\nout.append(getattr({name}, 'comment', None))", f"\nif {self.data()}:\n    out.append(vars({name}))"
        )
        return f"{name} = SimpleNamespace(size=x)\n{note}\nout.append({name}.size){read}"

    def _inlined(self, depth: int) -> str:
        function = self.name("part")
        default, other = self._pick("False", "True", "None", "'first'"), self._pick("None", "'first'", "False")
        body = self._pick(
            "return (y if not strict else 0, strict or y > 2, mode and y)",
            "if strict or y > 2:\n        return (y,)\n    return (mode, y)",
            "y = y\n    return f'{y} {strict}' if mode is None else (strict, mode)",
            "return [strict for _ in range(2)] if not mode else [value for value in (y, mode) if value or strict]",
        )
        call = self._pick("x", "x", f"x, {self.data()}", f"x, mode={self.flag()}", f"x, {default}")
        return f"def {function}(y, strict={default}, mode={other}):\n    {body}\nout.append({function}({call}))"

    def _introspection(self, depth: int) -> str:
        """What code can find out about functions and objects without using them."""
        function = self._pick("parts.scaled", "parts.handed", "parts.Layer", "parts.Settings")
        options = f"{{'wide': {self.flag()}, 'mode': {self._pick(self.access.at('mode'), self.flag())}, 'extra': x}}"
        name, layer = self.name("known"), self.name("layer")
        about = self._pick("unread", "extra", "calls", "residual", "size")
        filtered = f"{{key: value for key, value in {options}.items() if key in {name}}}"
        return self._pick(
            f"{name} = inspect.signature(parts.scaled).parameters\nout.append(parts.scaled(x, **{filtered}))",
            f"{name} = parts.handed.__code__.co_varnames\nout.append(parts.handed(x, **{filtered}))",
            f"out.append(sorted(inspect.signature({function}).parameters))",
            "out.append(parts.scaled.__defaults__)",
            "out.append([field.name for field in fields(parts.Settings)])",
            f"{layer} = parts.Layer(x)\nout.append(hasattr({layer}, {about!r}))",
            f"{layer} = parts.Layer(x)\nout.append(str(operator.attrgetter('inner.parts', 'calls')({layer})))",
            f"{layer} = parts.Layer(x)\nif {self.data()}:\n    out.append({about!r} in vars({layer}))\nout.append({layer}(x))",
            f"out.append(parts.Settings({self.flag()}) == parts.Settings())",
            f"out.append(getattr(parts.Layer(x), {{'first': 'size', 'second': 'unread'}}[{self.access.at('mode')}]))",
        )

    def _roundabout(self, depth: int) -> str:
        """Calls that do not look like calls."""
        layer = self.name("layer")
        return self._pick(
            "out.append(list(map(parts.scaled, items)))",
            "out.append(sorted(items, key=parts.scaled))",
            "out.append(functools.reduce(parts.scaled, items, 1))",
            f"out.append(list(map(parts.scaled, items, [2] * 9, [{self.flag()}] * 9)))",
            f"{layer} = parts.Layer(x, {self.flag()})\nout.append(copy.copy({layer})(x))",
            f"{layer} = parts.Layer(x, {self.flag()})\nout.append({layer}.__class__(3)(x))",
            f"{layer} = parts.Layer(x)\nout.append(parts.Layer.after({layer}, x, {self.flag()}))",
            f"{layer} = parts.Layer(x)\nout.append(list(map({layer}, items)))",
            f"{layer} = parts.Layer(x)\nout.append(getattr({layer}, 'after')(x, {self.data()}))",
            f"out.append(apply(parts.scaled, x, 1, {self.flag()}))",
            f"out.append(parts.scaled(*[x, 2, {self.flag()}][: 2 + bool({self.data()})]))",
        )

    def _patched_part(self, depth: int) -> str:
        change = self._pick(
            f"parts.LEVEL = {self.flag()}",
            "setattr(parts, 'LEVEL', 1)",
            "parts.scaled = lambda x, *rest, **options: -x",
            f"parts.Layer.kind = {self.flag()}",
            "parts.Layer.after = lambda self, y, twice=False: (y, twice)",
            "parts._REGISTRY['layer'] = parts.Inner",
        )
        return (
            f"if {self.data()}:\n    {change}\nout.append((parts.LEVEL, parts.Layer.kind, parts.scaled(x), parts.Layer(x)(2)))"
        )

    # -- the modules, and uses of them from outside --------------------------------------------------------------

    def further_modules(self) -> dict[str, str]:
        names = ["Layer", "Settings", "scaled", "forwarded", "handed", "build", "LEVEL"]
        exports = self.random.choice([f"__all__ = {names!r}", "", f"__all__ = {names[:4]!r} + ['Stack']"])
        parts = PARTS.format(
            exports=exports,
            alpha=self.access.optional("alpha", "None"),
            mode=self.access.optional("mode", "'first'"),
            level=self._pick("1", "None", "True"),
            wide=self._pick("False", "True"),
            post=self._pick("pass", "self.size = self.size * 2", "if self.wide:\n            self.parts.append('wide')"),
            strict=self._pick("False", "True"),
            limit=self._pick("2", "9"),
            before=self._pick("pass", "options.setdefault('mode', None)", "options = {'strict': False, **options}"),
            kind=self._pick("None", "'layer'", "False"),
            bias=self._pick("False", "True", "None"),
            unread=self._pick("size * 2", "[]", "mode or 'none'", "bool(bias)", "{'hook': hook is None}"),
            inner=self._pick("", ", strict=bias", ", note=mode", ", False, extra"),
            after=self._pick("pass", "if LEVEL and y > 9:\n            y = 9", "y = y if self.extra is None else y + 5"),
            twice=self._pick("False", "self.bias", "len(self.layers) > 1"),
        )
        return {"parts": parts, "wide": WIDE, "wider": WIDER}

    def outside_uses(self) -> list[tuple[Step, ...]]:
        """Calls that no workload made, of functions that the workloads may have reached in another way."""
        config = self.handed()
        value: Any = self.random.choice([True, False, None, "second"])
        calls: list[Step] = [
            ("call", "parts.scaled", (3, 2, value), {}),
            ("call", "parts.scaled", (12,), {"mode": "second", "strict": value}),
            ("call", "parts.forwarded", (3, value), {"factor": 2}),
            ("call", "parts.handed", (3, value, "second"), {}),
            ("call", "parts.handed", (3,), {"mode": value}),
            ("call", "wide.widest", (1, value), {}),
            ("call", "parts.Settings", (value,), {}),
            ("run", "parts.Settings.of", (), {"size": 9}),
        ]
        made: list[tuple[Step, ...]] = [
            (("build", "parts.Layer", (2, value), {}), ("method", "__call__", (3,), {})),
            (("build", "parts.Layer", (2,), {"mode": value, "extra": value}), ("method", "__call__", (3,), {})),
            (("build", "parts.Layer", (2,), {}), ("method", "after", (3, value), {})),
            (("build", "parts.build", ("stack",), {"residual": value}), ("method", "__call__", (3,), {})),
        ]
        return [(config, call) for call in calls] + [(config, *steps) for steps in made]
