"""A candidate that touches the legacy tree is found out, even if it hides the error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.subject import Workload
from unbloat.verify.outcome import Failed, Recorded
from unbloat.verify.server import Server

Subject = Callable[..., tuple[Path, Workload]]

TOUCHES = {
    "read": "open(legacy / 'old' / 'm.py').read()",
    "read by pathlib": "(legacy / 'old' / 'm.py').read_text()",
    "read as bytes": "open(os.fsencode(legacy / 'old' / 'm.py')).read()",
    "read through a link": "os.symlink(legacy, 'link'); open('link/old/m.py').read()",
    "read relatively": "os.chdir(legacy); open('old/m.py').read()",
    "imported": "sys.path.append(str(legacy)); import old.m",
    "imported beside": "import legacy.old.m",
    "written": "(legacy / 'new').write_text('x')",
}
SWALLOWED = """
    try:
        {touch}
    except (OSError, ImportError):
        pass
"""


def _workload(subject: Subject, statement: str) -> tuple[Path, Workload, Path]:
    tree, workload = subject("")
    legacy = workload.file.parent / "legacy"
    (legacy / "old").mkdir(parents=True)
    (legacy / "old" / "__init__.py").write_text("")
    (legacy / "old" / "m.py").write_text("value = 1")
    head = f"import os, sys\nfrom pathlib import Path\nlegacy = Path({str(legacy)!r})\ndef go(golden):\n"
    workload.file.write_text(head + statement)
    return tree, workload, legacy


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
@pytest.mark.parametrize("form", ["    {touch}", SWALLOWED], ids=["loud", "swallowed"])
def test_touching_a_forbidden_folder_fails(server: Server, subject: Subject, touch: str, form: str) -> None:
    tree, workload, legacy = _workload(subject, form.format(touch=touch))
    assert isinstance(server.run(tree, workload), Recorded)
    outcome = server.run(tree, workload, forbidden=[legacy])
    assert isinstance(outcome, Failed)
    assert "may not read" in outcome.reason
    assert not (legacy / "new").exists() or touch == TOUCHES["written"]


def test_other_folders_stay_readable(server: Server, subject: Subject, tmp_path: Path) -> None:
    tree, workload, _ = _workload(subject, "    import pkg; open(__file__).read(); Path('x').write_text('x')")
    assert isinstance(server.run(tree, workload, forbidden=[tmp_path / "leg", tmp_path / "tre"]), Recorded)


def test_folders_forbidden_to_the_server_are_forbidden_to_every_run(subject: Subject) -> None:
    tree, workload, legacy = _workload(subject, "    import legacy.old.m")
    with Server([], forbidden=[legacy]) as server:
        outcome = server.run(tree, workload)
    assert isinstance(outcome, Failed)
    assert "may not read" in outcome.reason


def test_a_forbidden_module_that_is_preloaded_is_found(subject: Subject) -> None:
    tree, workload = subject("def go(golden): pass")
    import json

    with Server(["json"]) as server:
        outcome = server.run(tree, workload, forbidden=[Path(json.__file__).parent])
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("imported 'json' from")
    assert "take that one out of strip.toml" in outcome.reason
