"""`unbloat bundle`: what it brings, what it leaves out, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.bundle.config import pruned
from unbloat.cli import main
from unbloat.evidence import Facts
from unbloat.subject import Subject
from unbloat.verify.trees import read_tree

MODULE = """
import omegaconf


def run(cfg, values=(1, 2)):
    total = cfg.size
    if cfg.deep.flag:
        total += cfg.deep.unused
    if cfg.mode == "fast":
        total += cfg["deep"]["rate"]
    return total + sum(values)


def never(cfg):
    return cfg.rarely
"""
CONFIG = """\
# about the size
size: 3
deep: {flag: false, rate: "${base}", other: 1}
mode: fast
rarely: 5
base: 2
gone: {a: 1, b: {c: 2}}
"""
WORKLOAD = """
from pathlib import Path

from helper import SIZE
from omegaconf import OmegaConf


def workload(golden):
    from pkg.module import run

    assert SIZE == "outside"
    golden.record("found", run(OmegaConf.load(Path(__file__).with_name("config.yaml"))))
"""
BUNDLE = """
[bundle]
scripts = ["use.py", "own/helper.py"]
gate = ["workload"]

[bundle.files]
"data/x.txt" = "x.txt"
"more" = "folder"
"""
USE = '''"""Runs it: `python use.py`."""
import sys
from pathlib import Path
from helper import SIZE
from omegaconf import OmegaConf
from pkg.module import run
if __name__ == "__main__":
    print(SIZE, run(OmegaConf.load(Path(__file__).with_name("config.yaml"))), "hydra" in sys.modules)
'''


@pytest.fixture
def root(make_subject: Callable[..., Subject]) -> Path:
    """A stripped subject with a script, its helper, a helper of the bundle's own, and files."""

    def strip(text: str) -> str:
        return text.replace("[golden]", '[golden]\ninputs = ["helper.py"]').replace(
            "[config]", '[config]\nfile = "config.yaml"'
        )

    root: Path = make_subject("").root
    for folder in ("own", "folder"):
        (root / folder).mkdir()
    contents = {
        "legacy/pkg/module.py": MODULE,
        "config.yaml": CONFIG,
        "workloads.py": WORKLOAD,
        "use.py": USE,
        "helper.py": 'SIZE = "outside"\n',
        "own/helper.py": 'SIZE = "bundled"\n',
        "x.txt": "x",
        "folder/inner.bin": "y",
        "strip.toml": strip((root / "strip.toml").read_text()) + BUNDLE,
    }
    for name, content in contents.items():
        (root / name).write_text(content)
    assert main(["strip", "--subject", str(root / "strip.toml")]) == 0
    return root


def bundle(root: Path, out: Path) -> int:
    return main(["bundle", "--subject", str(root / "strip.toml"), "--out", str(out)])


def test_it_works_alone(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle(root, tmp_path / "out") == 0
    assert "config: 9 leaves, 5 kept (" in capsys.readouterr().out
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    found = read_tree(tmp_path / "elsewhere")
    assert {name for name in found if not name.startswith("pkg/")} == {
        *("MANIFEST", "README.md", "config.yaml", "data/x.txt", "helper.py", "more/inner.bin", "requirements.txt", "use.py")
    }
    assert b"omegaconf==" in found["requirements.txt"] and found["requirements.txt"].count(b"==") == 1
    assert b"`use.py`: Runs it" in found["README.md"]
    command = [sys.executable, "-I", "-c", f"import sys, runpy; sys.path.insert(0, {str(tmp_path / 'elsewhere')!r});"]
    command[-1] += f"runpy.run_path({str(tmp_path / 'elsewhere' / 'use.py')!r}, run_name='__main__')"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "bundled 8 False\n"
    check = ["sha256sum", "--quiet", "-c", "MANIFEST"]
    assert subprocess.run(check, cwd=tmp_path / "elsewhere", check=False).returncode == 0


def test_the_config_keeps_what_means_something(root: Path, tmp_path: Path) -> None:
    bundle(root, tmp_path / "out")
    text = (tmp_path / "out" / "config.yaml").read_text()
    kept = [line.strip().partition(":")[0] for line in text.splitlines()]
    # `flag` is for the guard alone; `base` is what `rate` is; what nobody names goes, and so do comments.
    assert kept == ["size", "deep", "flag", "rate", "mode", "base"]
    assert "#" not in text


def test_a_key_that_only_unreached_code_reads_stays(tmp_path: Path) -> None:
    """Without it that code would quietly take a default."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    found = pruned(tmp_path / "config.yaml", Facts.merge({}), {"pkg/module.py": MODULE.encode()}, None)
    assert "rarely: 5" in found.text and (found.read, found.named) == (0, found.kept)


def test_an_earlier_bundle_is_replaced_and_nothing_else(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert bundle(root, out) == 0
    before = read_tree(out)
    assert bundle(root, out) == 0 and read_tree(out) == before
    (out / "mine.txt").write_text("mine")
    capsys.readouterr()
    assert bundle(root, out) == 2
    assert f"{out}: holds mine.txt, which no bundle has brought" in capsys.readouterr().err
    assert read_tree(out) == {**before, "mine.txt": b"mine"}


def damage(root: Path) -> None:
    file = root / "stripped" / "pkg" / "module.py"
    file.write_text(file.read_text().replace("total + sum", "total - sum"))


def other_helper(root: Path) -> None:
    (root / "more").mkdir()
    (root / "more" / "use.py").write_text("")
    toml = root / "strip.toml"
    toml.write_text(toml.read_text().replace('"own/helper.py"', '"own/helper.py", "more/use.py"'))


def changed(old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        toml = root / "strip.toml"
        toml.write_text(toml.read_text().replace(old, new))

    return change


REFUSED = [
    (damage, "in the bundle, workload 'workload' differs at `found`: 8 != 2"),
    (other_helper, "use.py has the same name; in a bundle they lie side by side"),
    (changed(BUNDLE, ""), "strip.toml: [bundle]: is missing; name at least `scripts` and `gate`"),
    (changed('"data/x.txt"', '"use.py"'), "[bundle]: two files would be use.py; give one of them another name"),
    (changed('"data/x.txt"', '"../x.txt"'), "[bundle] files: '../x.txt' is no path in the bundle"),
    (changed('= "x.txt"', '= "no.txt"'), "no.txt does not exist"),
    (changed('gate = ["workload"]\n\n[bundle.files]', 'gate = ["no"]\n[bundle.files]'), "unknown workload 'no'"),
    (
        changed('gate = ["workload"]\n\n[bundle.', 'gate = ["workload"]\nrequires = ["no-such"]\n[bundle.'),
        "'no-such' is not installed",
    ),
    (changed('"use.py", ', '"no.py", '), "[bundle] scripts: "),
    (changed('gate = ["workload"]\n\n[bundle', 'gate = ["workload"]\nscript = 1\n[bundle'), "[bundle] script: unknown key"),
]


@pytest.mark.parametrize(("change", "complaint"), REFUSED, ids=[complaint for _, complaint in REFUSED])
def test_what_is_refused(
    change: Callable[[Path], None], complaint: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(root)
    capsys.readouterr()
    assert bundle(root, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
