"""Steps of restructuring: what they do, what users of legacy names notice (nothing), and what is left out."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from unbloat.errors import SubjectError
from unbloat.restructure import Aliases, Restructured, by_new_names, gate, load_aliases, restructure, save_aliases
from unbloat.subject import Step, Subject
from unbloat.verify.outcome import Recorded
from unbloat.verify.server import Server
from unbloat.verify.trees import write_tree

PACKAGE = {
    "__init__.py": "",
    "sub/__init__.py": "",
    "sub/encoder.py": '''
        """Encodes."""

        import math

        from ..base import Base


        class Encoder(Base):
            def encode(self, x):
                return math.floor(x) + self.start  # rounds


        def make():
            return Encoder()
        ''',
    "base.py": """
        __all__ = ["Base", "LIMIT"]
        LIMIT = 7


        class Base:
            start = 1
        """,
    "left.py": '''
        """Left."""

        import json
        import logging
        from typing import Any, List

        logger = logging.getLogger("pkg")

        # how much
        SHARE = 2


        def left(x: Any) -> List[int]:
            return json.loads(json.dumps(x * SHARE))
        ''',
    "right.py": """
        import logging
        from typing import Any, Dict

        import pkg.base
        from pkg.left import left

        logger = logging.getLogger("pkg")


        def right(x: Any) -> Dict[str, int]:
            return min(left(x), pkg.base.LIMIT)
        """,
    "rival.py": """
        SHARE = 3
        """,
    "module.py": """
        from pkg import right as other
        from pkg.base import Base
        from pkg.left import left as doubled
        from pkg.sub.encoder import make


        def run(cfg, x=2.5):
            assert isinstance(make(), Base)
            return [make().encode(x), doubled(3), other.right(9)]
        """,
}
WORKLOAD = """
import pkg.right
from omegaconf import OmegaConf


def workload(golden):
    import pkg.left as left
    from pkg.base import Base
    from pkg.module import run
    from pkg.sub.encoder import Encoder

    golden.record("found", run(OmegaConf.create({})))
    golden.record("legacy names", [left.SHARE, pkg.right.right(1), Encoder.start, issubclass(Encoder, Base)])
"""


def contents(package: Mapping[str, str]) -> dict[str, bytes]:
    return {f"pkg/{name}": textwrap.dedent(text).lstrip("\n").encode() for name, text in package.items()}


Do = Callable[..., Restructured]


@pytest.fixture
def do(make_subject: Callable[..., Subject], server: Server) -> Do:
    """Steps on the package, judged by its workload."""

    def restructured(*steps: Step, workload: str = WORKLOAD, package: Mapping[str, str] = PACKAGE) -> Restructured:
        subject = make_subject("", workload=workload)
        files = contents(package)
        for name in ("pkg/module.py", "pkg/__init__.py"):
            (subject.legacy / name).unlink()
        write_tree(subject.legacy, files)
        golden = server.run(subject.legacy, subject.workload("workload"))
        assert isinstance(golden, Recorded), golden
        judge = gate(subject, server, {"workload": golden.ledger}, ["workload"])
        return restructure(files, steps, judge, lambda line: None)

    return restructured


MOVE = Step("move", ("pkg/sub/encoder.py",), "pkg/coder.py")
MERGE = Step("merge", ("pkg/left.py", "pkg/right.py"), "pkg/both.py")
RENAME = Step("rename", ("pkg.base:Base",), "Root")
LOCAL = Step("local_imports")


def text(found: Restructured, file: str) -> str:
    return found.files[file].decode()


def test_a_module_is_moved(do: Do) -> None:
    found = do(MOVE)
    assert found.rejected == () and found.aliases == Aliases({"pkg.sub.encoder": "pkg.coder"})
    assert "pkg/sub/encoder.py" not in found.files
    assert "from pkg.coder import make\n" in text(found, "pkg/module.py")
    assert "base import Base\n" in text(found, "pkg/coder.py") and "..base" not in text(found, "pkg/coder.py")


def test_modules_are_merged(do: Do) -> None:
    found = do(MERGE)
    assert found.rejected == () and found.aliases == Aliases({"pkg.left": "pkg.both", "pkg.right": "pkg.both"})
    assert text(found, "pkg/both.py") == textwrap.dedent('''\
        """Left."""

        import json
        import logging
        from typing import Any, List
        from typing import Dict
        import pkg.base


        logger = logging.getLogger("pkg")

        # how much
        SHARE = 2


        def left(x: Any) -> List[int]:
            return json.loads(json.dumps(x * SHARE))


        def right(x: Any) -> Dict[str, int]:
            return min(left(x), pkg.base.LIMIT)
        ''')


def test_a_name_is_changed_wherever_it_is_used(do: Do) -> None:
    found = do(RENAME)
    assert found.rejected == () and found.aliases == Aliases(names={"pkg.base": {"Base": "Root"}})
    assert '__all__ = ["Root", "LIMIT"]' in text(found, "pkg/base.py") and "class Encoder(Root)" in text(
        found, "pkg/sub/encoder.py"
    )


def test_imports_become_local_so_that_the_package_can_be_nested(do: Do, tmp_path: Path) -> None:
    found = do(MOVE, LOCAL)
    assert found.rejected == ()
    assert "from . import base\nfrom .left import left" in text(found, "pkg/right.py")
    assert "min(left(x), base.LIMIT)" in text(found, "pkg/right.py")
    write_tree(tmp_path / "nested" / "outer", found.files)
    script = "from outer.pkg.module import run; import sys; print(run({}), 'pkg' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "nested", capture_output=True, text=True, check=True)
    assert ran.stdout == "[3, 6, 7] False\n"


def test_steps_build_on_each_other_and_every_line_has_its_place(do: Do) -> None:
    again = Step("move", ("pkg/coder.py",), "pkg/deep/er/coder.py")
    found = do(MOVE, RENAME, MERGE, again, LOCAL)
    assert found.rejected == ()
    assert found.aliases.modules["pkg.sub.encoder"] == "pkg.deep.er.coder"
    legacy = {file: content.decode().splitlines() for file, content in contents(PACKAGE).items()}
    for file, content in found.files.items():
        for number, line in enumerate(content.decode().splitlines(), 1):
            if not line.strip():
                continue
            origin, place = found.lines[file, number]
            before = legacy[origin][place - 1]
            assert line == before or "import" in before or "Base" in before or "pkg.base.LIMIT" in before, (file, number)
    assert found.lines["pkg/deep/er/coder.py", 10][0] == "pkg/sub/encoder.py"


REJECTED = [
    (Step("move", ("pkg/no.py",), "pkg/coder.py"), "there is no pkg/no.py"),
    (Step("move", ("pkg/left.py",), "pkg/right.py"), "pkg/right.py is there already"),
    (Step("move", ("pkg/left.py",), "pkg/sub.py"), "pkg/sub.py is there already"),
    (Step("move", ("pkg/sub/__init__.py",), "pkg/x.py"), "pkg/sub/__init__.py is a package, not a module"),
    (Step("merge", ("pkg/left.py", "pkg/rival.py"), "pkg/x.py"), "pkg/rival.py:1 and pkg/left.py both bind SHARE, differently"),
    (Step("merge", ("pkg/left.py", "pkg/left.py"), "pkg/x.py"), "a module is named twice"),
    (Step("merge", ("pkg/base.py", "pkg/rival.py"), "pkg/x.py"), "pkg/base.py:1: merging `__all__` is not supported; leave"),
    (Step("rename", ("pkg.base:No",), "Yes"), "pkg/base.py defines no No"),
    (Step("rename", ("pkg.no:No",), "Yes"), "there is no module pkg.no"),
    (Step("rename", ("pkg.base:Base",), "LIMIT"), "pkg/base.py has a LIMIT already"),
]


@pytest.mark.parametrize(("step", "reason"), REJECTED, ids=[reason for _, reason in REJECTED])
def test_a_step_that_cannot_be_done_is_left_out_and_the_others_go_on(step: Step, reason: str, do: Do) -> None:
    found = do(step, RENAME)
    ((left_out, why),) = found.rejected
    assert left_out == step and why.startswith(reason)
    assert found.aliases == Aliases(names={"pkg.base": {"Base": "Root"}})


def test_what_is_looked_up_as_text_keeps_its_name(do: Do) -> None:
    more = {
        "lookup.py": """
            import importlib


            def find():
                return getattr(importlib.import_module("pkg.sub.encoder"), "Encoder")
            """
    }
    rename = Step("rename", ("pkg.sub.encoder:Encoder",), "Coder")
    found = do(MOVE, rename, package={**PACKAGE, **more})
    assert [why for _, why in found.rejected] == [
        "pkg/lookup.py:5 holds 'pkg.sub.encoder' as text, which may be a lookup",
        "pkg/lookup.py:5 holds 'Encoder' as text, which may be a lookup",
    ]
    assert found.files == contents({**PACKAGE, **more})


def test_a_step_that_a_workload_notices_is_left_out(do: Do) -> None:
    """Here a golden holds the name of the module."""
    notices = WORKLOAD + '    golden.record("module", Encoder.__module__)\n'
    found = do(MOVE, MERGE, workload=notices)
    assert found.rejected == ((MOVE, "workload 'workload' differs at `module`: 'pkg.sub.encoder' != 'pkg.coder'"),)
    assert "pkg/both.py" in found.files and "pkg/sub/encoder.py" in found.files


def test_an_import_over_several_lines_becomes_local() -> None:
    files = contents({"__init__.py": "", "a.py": "from pkg import (\n    b,\n)\nb.c\n", "b.py": "c = 1\n"})
    found = restructure(files, [LOCAL], lambda *_: None, lambda line: None)
    assert found.rejected == () and found.files["pkg/a.py"].startswith(b"from . import (\n")


STAYS = [
    ("import pkg\npkg.b.c\n", "pkg/a.py:1: imports the whole package pkg by its name"),
    ("import os, pkg.b\n", "pkg/a.py:1: imports several modules at once; import them one by one"),
    ("import pkg.b\npkg.c.d\n", "pkg/a.py: uses pkg beyond the modules that it imports"),
    ("import pkg.b\nb = pkg.b.c\n", "pkg/a.py:2: b is the name of something else here"),
    ("from \\\n  pkg.b import c\n", "pkg/a.py:1: the import goes over a line's end before its names"),
]


@pytest.mark.parametrize(("module", "reason"), STAYS)
def test_an_import_that_cannot_become_local_is_told(module: str, reason: str) -> None:
    files = contents({"__init__.py": "", "b.py": "c = 1\n", "a.py": ""}) | {"pkg/a.py": module.encode()}
    found = restructure(files, [LOCAL], lambda *_: None, lambda line: None)
    assert found.rejected == ((LOCAL, reason),) and found.files == files


def test_aliases_follow_a_name_through_all_steps() -> None:
    aliases = Aliases().moved("p.a", "p.b").renamed("p.b", "X", "Y").moved("p.b", "p.c").renamed("p.c", "Y", "Z")
    assert aliases == Aliases({"p.a": "p.c"}, {"p.c": {"X": "Z", "Y": "Z"}})
    assert aliases.moved("p.c", "p.a").renamed("p.a", "Z", "X") == Aliases({}, {"p.a": {"Y": "X", "Z": "X"}})
    assert Aliases.from_json(aliases.to_json()) == aliases


SCRIPT = """\
from pkg.sub.encoder import Encoder as E, make
from pkg import left, base
from pkg.base import (
    LIMIT,
    Base,
)
import pkg.right as r
NAME = "pkg.right"
"""


def test_scripts_of_users_follow() -> None:
    aliases = Aliases(
        {"pkg.left": "pkg.both", "pkg.right": "pkg.both", "pkg.sub.encoder": "pkg.coder"}, {"pkg.base": {"Base": "Root"}}
    )
    assert by_new_names(SCRIPT, Aliases()) == SCRIPT
    assert by_new_names(SCRIPT, aliases) == textwrap.dedent("""\
        from pkg.coder import Encoder as E, make
        from pkg import base; from pkg import both as left
        from pkg.base import LIMIT, Root as Base
        import pkg.both as r
        NAME = "pkg.both"
        """)
    with pytest.raises(SubjectError, match="names a moved module; write `import … as …`"):
        by_new_names("import pkg.left\n", aliases)


def test_aliases_are_kept_beside_the_package(make_subject: Callable[..., Subject]) -> None:
    subject = make_subject("")
    aliases = Aliases({"pkg.a": "pkg.b"}, {"pkg.b": {"X": "Y"}})
    assert load_aliases(subject) == Aliases()
    save_aliases(subject, aliases)
    assert load_aliases(subject) == aliases
    (subject.stripped / "aliases.json").write_text("{}")
    with pytest.raises(SubjectError, match=r"aliases.json: is damaged; run `unbloat strip` again"):
        load_aliases(subject)
    save_aliases(subject, Aliases())
    assert not list(subject.stripped.iterdir())
