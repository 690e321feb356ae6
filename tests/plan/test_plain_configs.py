"""Configs that are no OmegaConf containers: what goes on their account, and what the guard then refuses."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from unbloat.verify.server import Server

from tests.differential import Program, Step, compare_uses
from tests.handing import CLASS

ITEMS = """
def run(cfg, x=1):
    if cfg["wide"] or cfg.get("deep"):
        x = x * 2
    return x + cfg["size"]
"""
FIELDS = """
import dataclasses


@dataclasses.dataclass
class Config:
    size: int = 3
    wide: bool = False


class Model:
    def __init__(self, cfg):
        self.cfg = cfg
        self.wide = cfg.wide
        assert cfg.size % 3 == 0

    def __call__(self, x):
        if self.cfg.wide or getattr(self.cfg, "deep", False):
            x = x * 2
        return x + self.cfg.size


def run(cfg, x=1):
    return Model(cfg)(x)
"""
# The kind of config, the package, and what is left of it, as the source of statements.
STRIPPED = [
    ("dict", ITEMS, ITEMS.replace('    if cfg["wide"] or cfg.get("deep"):\n        x = x * 2\n', "")),
    *(
        (
            kind,
            FIELDS,
            FIELDS.replace("        self.wide = cfg.wide\n", "").replace(
                '        if self.cfg.wide or getattr(self.cfg, "deep", False):\n            x = x * 2\n', ""
            ),
        )
        for kind in ("namespace", "arguments", "object")
    ),
]
CONTENT = {"size": 3, "wide": False}


@pytest.mark.parametrize(("kind", "module", "left"), STRIPPED, ids=[kind for kind, *_ in STRIPPED])
def test_what_rests_on_a_config_goes(kind: str, module: str, left: str, tmp_path: Path, server: Server) -> None:
    comparison = compare_uses(Program(module, _use(kind, CONTENT), ()), tmp_path, server)
    assert _statements(comparison.sources["pkg/module.py"]) == _statements(left)


# What another config holds, and what becomes of it; the number is no pin.
OTHERS = [
    ({"size": 6, "wide": False}, "identical"),
    ({"size": 3, "wide": True}, "loud"),
    ({"size": 3, "wide": 0}, "loud"),
    ({"size": 3, "wide": False, "deep": True}, "loud"),
    ({"size": 3, "wide": False, "deep": False}, "loud"),
    ({"size": 3, "wide": False, "more": 1}, "identical"),
]


@pytest.mark.parametrize(("kind", "module"), [(kind, module) for kind, module, _ in STRIPPED[:3]])
def test_the_guard_holds_what_was_read(kind: str, module: str, tmp_path: Path, server: Server) -> None:
    others = tuple(_use(kind, content) for content, _ in OTHERS)
    comparison = compare_uses(Program(module, _use(kind, CONTENT), others), tmp_path, server)
    assert [outcome.verdict for outcome in comparison.outcomes] == [verdict for _, verdict in OTHERS]


def _use(kind: str, content: dict[str, object]) -> tuple[Step, ...]:
    return (kind, {CLASS: "Config", **content} if kind == "object" else content), ("run", "run", (4,), {})


def _statements(source: str) -> list[str]:
    """Of functions and the model, without the guard's checks: the class of a config goes if nothing makes one."""
    parts = [part for part in ast.parse(source).body if getattr(part, "name", "") in ("Model", "run")]
    lines = [line for part in parts for line in ast.unparse(part).splitlines()]
    return [line for line in lines if line.strip() and "pinned" not in line]


def test_what_is_made_anew_for_every_call_is_no_config(tmp_path: Path, server: Server) -> None:
    module = """
class Part:
    def __init__(self, wide):
        self.wide = wide


def part(cfg, x):
    return x * 2 if cfg.wide else x


def run(cfg, x=1):
    return sum(part(Part(False), x) for _ in range(cfg["size"]))
"""
    pinned = {size: ("dict", {"size": size}) for size in (3, 300)}
    sources = {}
    for size, config in pinned.items():
        use = (config, ("run", "run", (4,), {}), ("object", {CLASS: "Part", "wide": False}), ("run", "part", (4,), {}))
        sources[size] = compare_uses(Program(module, use, ()), tmp_path / str(size), server).sources
    assert "'Part.wide': (False" in sources[3]["pkg/pinned.py"]
    assert "Part.wide" not in sources[300].get("pkg/pinned.py", "")
