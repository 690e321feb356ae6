"""Whole modules: what nobody imports goes, and what somebody imports where its absence would be silent stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unbloat.record import record
from unbloat.strip import PhaseRun
from unbloat.subject import Subject
from unbloat.verify.server import Server

RUN = "def run(cfg):\n    return 1\n"
LOADED = "import importlib\n\n\ndef run(cfg):\n    return importlib.import_module('pkg.' + '{}').__name__\n"
FOUND = """
import importlib.util


def has(name):
    return importlib.util.find_spec(name) is not None


def run(cfg):
    return has("numpy"), has("{}")
"""
RENAMED = "from importlib import import_module as load\n\n\ndef run(cfg):\n    return load('pkg.' + '{}').__name__\n"
HANDED = """
import importlib


def found(name, load):
    try:
        return load('pkg.' + name)
    except ImportError:
        return None


def run(cfg):
    return found('module', importlib.import_module).__name__
"""
SWALLOWED = "\n\ndef spare():\n    try:\n        import pkg.other\n    except ImportError:\n        pass\n"


@pytest.mark.parametrize(
    ("title", "source", "gone"),
    [
        ("nobody imports it", RUN, True),
        ("it was imported", "from pkg import other\n\n\ndef run(cfg):\n    return other.ONE\n", False),
        ("an import that did not run", "def run(cfg):\n    return 1\n\n\ndef spare():\n    from pkg import other\n", True),
        (
            "an import whose failure would be swallowed, once its function is gone",
            RUN + SWALLOWED,
            True,
        ),
        ("another one is loaded by a computed name", LOADED.format("module"), True),
        ("it is loaded by a computed name", LOADED.format("other"), False),
        (
            "one is loaded by a computed name, and nobody hears that another one is missing",
            "import importlib\n\n\ndef run(cfg):\n"
            "    for name in ('missing', 'module'):\n"
            "        try:\n            found = importlib.import_module('pkg.' + name)\n"
            "        except ImportError:\n            pass\n"
            "    return found.__name__\n",
            False,
        ),
        ("another one is loaded by a loader that was renamed", RENAMED.format("module"), True),
        ("it is loaded by a loader that was renamed", RENAMED.format("other"), False),
        ("a loader is handed on", HANDED, False),
        (
            "it was loaded, but for nobody, and no workload loads one by name",
            "from pkg import other\n\n\ndef run(cfg):\n    return 1\n\n\n" + LOADED.replace("run", "load").format("other"),
            True,
        ),
        (
            "modules are listed",
            "import pkgutil\nimport pkg\n\n\ndef run(cfg):\n    return len([*pkgutil.iter_modules(pkg.__path__)])\n",
            False,
        ),
        (
            "files beside a module are listed",
            "from pathlib import Path\n\n\ndef run(cfg):\n    return len([*Path(__file__).parent.glob('*.py')])\n",
            False,
        ),
        (
            "another package is looked for",
            "import importlib.util\n\n\ndef run(cfg):\n    return importlib.util.find_spec('numpy') is not None\n",
            True,
        ),
        ("other packages are looked for by a function", FOUND.format("numpy"), True),
        ("it may be what a function looks for", FOUND.format("pkg.spare"), False),
        ("a function that looks for packages is handed on", FOUND.format('"), *map(has, ["numpy"]), has("numpy'), False),
    ],
)
def test_a_module_goes(title: str, source: str, gone: bool, make_subject: Callable[..., Subject], server: Server) -> None:
    subject = make_subject(source, others={"other.py": "ONE = 1\n"})
    _, facts = record(subject, server, lambda line: None)
    run = PhaseRun(subject, subject.phases[0], facts)
    run.run(lambda batch: next(iter(run.candidate(batch)[1]), None), None, lambda line: None)
    files, faults = run.candidate(())
    assert not faults and ("pkg/other.py" not in files) is gone, title
