"""A first strip.toml for an installed package and a file of workloads."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.evidence.scopes import parameters
from unbloat.subject.installed import Installed, distribution_of, find_installed
from unbloat.subject.sources import parse_file, workload_names

_PAGE = """\
# What is stripped, and by what it is judged. Paths are relative to this file.

[subject]
package = {package}
# Copied out of this environment once and used from there. Another version is refused.
installed = {installed}
# Where the result goes; the package's folder in it is replaced as a whole.
stripped = "stripped"

[golden]
# Every function in it whose only parameter is `golden` is a workload: {names}.
workloads = {workloads}
# What the workloads and the package import from elsewhere: loaded once, before all runs.
preload = {preload}
# Files and folders that the workloads read, so that a change of them is seen.
# inputs = ["data"]
seed = 0
# Seconds until a run is taken for one that hangs.
limit = 300

[config]
# Functions take a config under these names: an OmegaConf container, a dictionary, a namespace, an object of a data class or of
# another plain class. What the code that is stripped rests on in it is pinned; under any other name a config is not followed.
parameters = {parameters}

# Without phases, every module of the package is stripped at once and judged by every workload. To choose:
# [phases.model]
# files = ["{folder}/__init__.py"]
# gate = [{first}]
"""

# Prints a name before its import, so that a module which takes the process down is known; at the end, what is worth loading.
# What cannot be imported, for whatever reason, is not: packages look whether something optional is there, and it may be broken.
# Nor is what imports the package itself, as a plugin does: it would bring the installed one with it, not the tree under test.
_IMPORT = """\
import importlib, json, sys
needed, asked = [], []
class OwnPackage:
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            asked.append(name)
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, OwnPackage)
for name in sys.argv[2:]:
    if name not in sys.modules:
        print(json.dumps(name), flush=True)
        try:
            importlib.import_module(name)
        except Exception:
            continue
        finally:
            is_own = bool(asked)
            asked.clear()
        needed += [] if is_own else [name]
print(json.dumps(needed), flush=True)
"""


_CONFIG_NAME = re.compile(
    r"(^|_)(args|cfg|conf|configs?|flags|hparams|hps|hyper_?parameters|hyper_?params|opts?|options|settings)$"
)


def first_toml(package: str, workload_file: Path, folder: Path) -> str:
    """The text of a strip.toml that lies in `folder`. Nothing of the package or of the workload file is run.

    Raises:
        SubjectError: the package is not installed or has no sources, or the file holds no workload.
    """
    if not workload_file.is_file():
        raise SubjectError(f"{workload_file}: no such file; name the Python file with the workloads by --workload")
    tree = parse_file(workload_file)
    names = workload_names(tree)
    if not names:
        raise SubjectError(f"{workload_file}: no workload; write at least one function whose only parameter is `golden`")
    installed = find_installed(distribution_of(package), package)
    imported = imports_of_workloads(workload_file, tree, package) | imports_of_package(installed)
    return _PAGE.format(
        package=_quoted(package),
        folder=package,
        installed=_quoted(installed.requirement),
        names=", ".join(names),
        first=_quoted(names[0]),
        workloads=_quoted(Path(os.path.relpath(workload_file.resolve(), folder.resolve())).as_posix()),
        preload=_list(worth_loading(imported, package)),
        parameters=_list(config_parameters(installed)),
    )


def imports_of_workloads(file: Path, tree: ast.Module, package: str) -> set[str]:
    """The foreign modules that a workload file imports, itself or through files beside it, wherever in them."""
    found: set[str] = set()
    pending, known = [tree], {file.stem, package}
    while pending:
        for name in _imported(ast.walk(pending.pop())):
            top = name.partition(".")[0]
            beside = file.with_name(f"{top}.py")
            if top not in known and beside.is_file():
                known.add(top)
                pending.append(parse_file(beside))
            elif top not in known:
                found.add(name)
    return set(filter(_is_foreign, found))


def imports_of_package(installed: Installed) -> set[str]:
    """The foreign modules that a package imports as soon as its own modules are, and not only when a function is called."""
    found: set[str] = set()
    for name, content in installed.files.items():
        parts = name.split("/")
        if name.endswith(".py") and not {"test", "tests"} & set(parts[:-1]):
            found.update(_imported(_at_import(_parsed(name, content))))
    return {name for name in found if name.partition(".")[0] != installed.package and _is_foreign(name)}


def config_parameters(installed: Installed) -> list[str]:
    """The parameters of a package's functions that are named like a config."""
    return sorted(
        {
            argument.arg
            for name, content in installed.files.items()
            if name.endswith(".py")
            for node in ast.walk(_parsed(name, content))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for argument in parameters(node)
            if argument not in (node.args.vararg, node.args.kwarg) and _CONFIG_NAME.search(argument.arg)
        }
    )


def worth_loading(names: Iterable[str], package: str) -> list[str]:
    """The modules among `names` that can be imported without the package, less those that come along with another one.

    Raises:
        SubjectError: importing one of them ends the process.
    """
    ordered = sorted(names, key=lambda name: (name.partition(".")[0] != "torch", name.count("."), name))
    command = [sys.executable, "-P", "-c", _IMPORT, package, *ordered]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    said = [line for line in run.stdout.splitlines() if line.startswith(('"', "["))]
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1]
        raise SubjectError(f"cannot import {said[-1] if said else 'anything'} for `preload`: {last}")
    needed: list[str] = json.loads(said[-1])
    return needed


def _imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module is not None:
            yield node.module


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_import(child)


def _parsed(name: str, content: bytes) -> ast.Module:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise SubjectError(f"{name}: not valid Python for this interpreter: {error}") from None


def _is_foreign(name: str) -> bool:
    """Installed, and no part of Python."""
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top != "unbloat" and importlib.util.find_spec(top) is not None


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
