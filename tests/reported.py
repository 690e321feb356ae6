"""The report of a small package: a file that moves, one that is longer than a window, and a text that is almost markup."""

from __future__ import annotations

from pathlib import Path

from unbloat.cli import main
from unbloat.finished import finished
from unbloat.gather import gather
from unbloat.html import Report, collect
from unbloat.phases import recording, stripped_phases
from unbloat.subject import load_subject

MODULE = """
from pkg.helper import helped

MARKUP = "</script><script>alert(1)</script><!--"  # 😀 then = 1


def run(cfg, values=(1, 2)):
    extra = 1 if cfg.flag else 2
    if len(values) > 9:
        values = sorted(values)
    return extra + helped(values)


def unused():
    return 3
""" + "".join(f"\n\ndef unused_{number}():\n    return {number}\n" for number in range(60))
HELPER = "def helped(values):\n    # about helped\n    return len(values)\n"
STRIP = """
[subject]
package = "pkg"
legacy = "legacy"
stripped = "stripped"
[config]
parameters = ["cfg"]
[golden]
workloads = "workloads.py"
preload = ["omegaconf"]
[phases.all]
files = ["pkg/module.py", "pkg/helper.py"]
gate = ["workload"]
[[restructure]]
move = "pkg/helper.py"
to = "pkg/parts/helper.py"
"""
WORKLOAD = """
from omegaconf import OmegaConf


def workload(golden):
    from pkg.module import MARKUP, run

    golden.record("run", [run(OmegaConf.create({"flag": False})), MARKUP])
"""


def make_report(root: Path) -> Report:
    """Strip the package in a folder, and collect its report."""
    (root / "legacy" / "pkg").mkdir(parents=True)
    for name, text in {"__init__.py": "", "module.py": MODULE, "helper.py": HELPER}.items():
        (root / "legacy" / "pkg" / name).write_text(text, encoding="utf-8")
    (root / "workloads.py").write_text(WORKLOAD)
    (root / "strip.toml").write_text(STRIP)
    assert main(["strip", "--subject", str(root / "strip.toml")]) == 0
    with recording(load_subject(root / "strip.toml"), lambda line: None) as recorded:
        done = stripped_phases(recorded)
        state = finished(recorded, done)
        verdicts = {"all": "identical"}
        return collect(recorded, done, state, verdicts, gather(recorded, done, state, verdicts))
