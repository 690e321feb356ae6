"""Expressions of a program: reads of its config in every style, flags and values made of them."""

from __future__ import annotations

import random
from typing import Any

from tests.differential import Step
from tests.fuzz.configs import Access, ClassAccess, DictAccess, ObjectAccess, OmegaAccess


class Expressions:
    """One config, and what can be said about it at this point of a program."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.access: Access = OmegaAccess(self.random)
        self.config = self._config()
        self.access = self._access()
        self.paths = list(_paths(self.config))
        self.flags: list[str] = []
        self.functions: list[str] = []
        self.number = 0

    # -- the config and its reads -------------------------------------------------------------------------------

    def _leaf(self) -> Any:
        return self.random.choice([True, False, False, None, 0, 1, 3, 0.5, "first", "second", "", [1, 2], []])

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {name: self._leaf() for name in self.random.sample(["alpha", "beta", "gamma", "delta"], 3)}
        config["mode"] = self.random.choice(["first", "second"])
        config["sub"] = {name: self._leaf() for name in self.random.sample(["alpha", "use", "size", "kind"], 2)}
        if self.random.random() < 0.4:
            config["sub"]["deep"] = {"use": self._leaf(), "size": 2}
        if self.random.random() < 0.2:
            config["link"] = "${mode}"
        return config

    def _access(self) -> Access:
        """Two programs in five know nothing of OmegaConf."""
        if self.random.random() < 0.6:
            return self.access
        self.config.pop("link", None)
        kind = self.random.choice(["dict", "dict", "namespace", "arguments", "object", "object"])
        if kind == "dict":
            return DictAccess(self.random)
        return ClassAccess(self.random, self.config) if kind == "object" else ObjectAccess(self.random, kind)

    def handed(self, config: dict[str, Any] | None = None) -> Step:
        """The step that hands over the pinned config, or another one."""
        return (self.access.kind, self.access.content(self.config if config is None else config))

    def path(self) -> str:
        if self.random.random() < 0.25:
            return self.random.choice(["missing", "sub.missing", "other.use", "sub.deep.use", "sub.use"])
        return self.random.choice([path for path in self.paths if path])

    def read(self, cfg: str = "cfg") -> str:
        path = self.path()
        default = self.random.choice(["False", "None", "0", "True", "'first'"])
        styles = [f"_get({cfg}, {path!r}, {default})", *self.access.reads(cfg, path, default, is_known=path in self.paths)]
        if "." not in path:
            styles.append(f"reader({cfg}, {path!r}, {default})")
        return self.random.choice(styles)

    # -- expressions --------------------------------------------------------------------------------------------

    def data(self) -> str:
        return self.random.choice(["x > 3", "len(items) > 2", "x % 2", "(items and items[0] > 2)", "x == 7", "sum(items) > 6"])

    def flag(self, depth: int = 0) -> str:
        roll = self.random.random()
        if roll < 0.4:
            return self.read()
        if roll < 0.6 and self.flags:
            return self.random.choice(self.flags)
        if depth > 1 or roll < 0.68:
            return self.data()
        one, other = self.flag(depth + 1), self.flag(depth + 1)
        gamma = "reader(cfg, 'gamma', 1)"
        return self.random.choice(
            [
                f"not ({one})",
                f"(({one}) and ({other}))",
                f"(({one}) or ({other}))",
                f"(({one}) is None)",
                f"(({one}) is not None)",
                f"(({one}) == {self.random.choice(['1', 'True', repr('first'), 'None'])})",
                f"(({one}) if ({other}) else {self.random.choice(['None', 'True', one])})",
                f"isinstance({one}, {self.random.choice(['str', 'int', '(list, tuple)', 'bool'])})",
                f"(({one}) in ('first', 1, None))",
                "WIDE",
                "DEEP",
                "bool(os.environ.get('PKG_WIDE'))",
                "(os.getenv('PKG_MODE', 'first') == 'second')",
                f"(0 < {gamma} < 9 if isinstance({gamma}, (int, float)) else False)",
                f"(TABLE.get({self.access.at('mode')}) == 1)",
            ]
        )

    def value(self) -> str:
        one = self.flag()
        return self._pick(
            "x",
            "x + 1",
            f"({one})",
            f"(x if ({one}) else -x)",
            f"str({one})",
            "sum(items)",
            "[i for i in items if i > 1]",
            f"[i for i in items if ({one})]",
            f"(({one}) and x)",
            f"(({one}) or x)",
            "len(SEEN)",
        )

    def _pick(self, *options: str) -> str:
        return self.random.choice(options)

    def name(self, kind: str) -> str:
        self.number += 1
        return f"{kind}_{self.number}"


def _paths(config: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for name, value in config.items():
        found.append(before + name)
        if isinstance(value, dict):
            found += _paths(value, f"{before}{name}.")
    return found
