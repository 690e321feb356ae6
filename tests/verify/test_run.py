"""One run: what is importable, where it happens, and how a failure is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.golden.compare import compare
from unbloat.golden.determinism import SERVER_ENVIRONMENT
from unbloat.golden.ledger import Ledger
from unbloat.subject import Workload
from unbloat.verify.outcome import Failed, Recorded
from unbloat.verify.server import Server

Subject = Callable[..., tuple[Path, Workload]]

RECORD_VALUE = """
    def go(golden):
        from pkg.m import value
        golden.record("value", value)
"""

TRAINING = """
    import torch

    def train(golden):
        net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
        golden.model("net", net)
        optimizer = torch.optim.AdamW(net.parameters())
        for step in range(3):
            loss = net(torch.randn(4, 3)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            golden.gradients("gradients", net)
            optimizer.step()
            golden.record("loss", loss)
            golden.optimizer("optimizer", optimizer)
            golden.rng("rng")
        torch.save({"net": net.state_dict(), "at": str(golden.workdir)}, "net.ckpt")
        golden.files("files", golden.workdir)
"""
TRAIN = """
    import torch
    from pkg.training import train

    def go(golden):
        train(golden)
"""


def values(server: Server, tree: Path, workload: Workload) -> dict[str, str]:
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Recorded), outcome
    return {entry.name: entry.preview for entry in outcome.ledger.entries}


def test_the_tree_as_it_is_now_is_what_runs(server: Server, subject: Subject) -> None:
    tree, workload = subject(RECORD_VALUE, m="value = 1")
    assert values(server, tree, workload)["value"] == "1"
    # As long as before and within the same second: cached bytecode would be taken for current.
    tree, workload = subject(RECORD_VALUE, m="value = 2")
    assert values(server, tree, workload)["value"] == "2"
    assert not list(tree.rglob("__pycache__"))


def test_folders_without_an_init_are_packages_too(server: Server, subject: Subject) -> None:
    workload = """
        def go(golden):
            from pkg.a.b.c.d.leaf import value
            golden.record("value", value)
    """
    tree, flow = subject(workload)
    leaf = tree / "pkg" / "a" / "b" / "c" / "d" / "leaf.py"
    leaf.parent.mkdir(parents=True)
    leaf.write_text("value = 7")
    assert isinstance(server.run(tree, flow), Recorded)


def test_helpers_beside_the_workload_come_after_the_tree(server: Server, subject: Subject) -> None:
    tree, workload = subject(
        """
        import helper
        from pkg import m

        def go(golden):
            golden.record("value", [helper.value, m.value])
        """,
        m="value = 'tree'",
    )
    (workload.file.parent / "helper.py").write_text("value = 'beside'")
    (workload.file.parent / "pkg").mkdir()
    (workload.file.parent / "pkg" / "__init__.py").write_text("raise ImportError('the wrong one')")
    seen = values(server, tree, workload)
    assert (seen["value[0]"], seen["value[1]"]) == ("'beside'", "'tree'")


def test_every_run_has_a_fresh_folder_that_is_removed(server: Server, subject: Subject, tmp_path: Path) -> None:
    tree, workload = subject(
        f"""
        from pathlib import Path

        def go(golden):
            assert Path.cwd() == golden.workdir
            golden.record("found", sorted(path.name for path in Path(".").iterdir()))
            Path("left").write_text("behind")
            Path({str(tmp_path / "log")!r}).open("a").write(f"{{golden.workdir}}\\n")
        """
    )
    assert values(server, tree, workload) == values(server, tree, workload)
    folders = (tmp_path / "log").read_text().splitlines()
    assert len(set(folders)) == 2
    assert not any(Path(folder).exists() for folder in folders)


FAILURES = [
    ("def go(golden):\n    raise ValueError('two\\nlines')", "raised ValueError: two lines at flows.py:2"),
    ("def go(golden):\n    from pkg.m import fail\n    fail()", "raised KeyError: 'x' at pkg/m.py:2"),
    ("def go(golden):\n    import json\n    json.loads('{')", "raised JSONDecodeError: .* at flows.py:3"),
    ("def go(golden):\n    import pkg.broken", "raised SyntaxError: .* at pkg/broken.py:1"),
    ("def go(golden):\n    import pkg.none", "raised ModuleNotFoundError: No module named 'pkg.none' at flows.py:2"),
    ("import sys\ndef go(golden):\n    sys.exit(3)", "raised SystemExit: 3 at flows.py:3"),
    ("def go(golden):\n    golden.record('v', object())", "workload 'flow': cannot record 'v'"),
    ("def other(golden): pass", "has no function 'go'"),
]


@pytest.mark.parametrize(("source", "reason"), FAILURES)
def test_a_failure_is_one_line_with_the_place(server: Server, subject: Subject, source: str, reason: str) -> None:
    tree, workload = subject(source, m="def fail():\n    return {}['x']", broken="def")
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Failed)
    pytest.raises(AssertionError, match=reason).matches(AssertionError(outcome.reason))
    assert "\n" not in outcome.reason
    assert outcome.reason.startswith("workload 'flow'")
    assert "Traceback" in outcome.output


def test_a_module_hidden_by_a_loaded_one_is_reported(server: Server, subject: Subject) -> None:
    tree, workload = subject("def go(golden): pass")
    (tree / "json.py").write_text("")
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"module 'json' of {tree} is hidden by")


@pytest.mark.parametrize("missing", ["tree", "workload file"])
def test_missing_files_are_named(server: Server, subject: Subject, missing: str) -> None:
    tree, workload = subject("def go(golden): pass")
    if missing == "tree":
        tree = tree / "none"
    else:
        workload = Workload("flow", workload.file.with_name("none.py"), "go")
    outcome = server.run(tree, workload)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith(f"there is no {missing} ")


def test_torch_imported_on_the_way_is_refused(server: Server, subject: Subject) -> None:
    outcome = server.run(*subject("def go(golden):\n    import torch"))
    assert isinstance(outcome, Failed)
    assert "imported torch only while it ran" in outcome.reason


def test_a_package_without_torch_runs_without_torch(server: Server, subject: Subject) -> None:
    tree, workload = subject("import sys\ndef go(golden):\n    golden.record('v', 'torch' in sys.modules)\n    golden.rng('r')")
    seen = values(server, tree, workload)
    assert seen["v"] == "False"
    assert list(seen) == ["v", "r.python", "warnings"]


def test_seeds_are_settled_before_the_workload(torch_server: Server, subject: Subject) -> None:
    tree, workload = subject(
        """
        import random
        import numpy
        import torch

        def go(golden):
            golden.record("drawn", [random.random(), numpy.random.rand(), torch.rand(2)])
            golden.record("threads", [torch.get_num_threads(), torch.get_num_interop_threads()])
        """
    )
    first, again, other = (torch_server.run(tree, workload, seed=seed) for seed in (1, 1, 2))
    assert isinstance(first, Recorded)
    assert isinstance(again, Recorded)
    assert isinstance(other, Recorded)
    assert first.ledger == again.ledger
    differing = [a.name for a, b in zip(first.ledger.entries, other.ledger.entries, strict=True) if a != b]
    assert differing == ["drawn[0]", "drawn[1]", "drawn[2]"]
    assert [entry.preview for entry in first.ledger.entries if entry.name.startswith("threads[")] == ["1", "1"]


def test_a_fork_and_a_fresh_process_give_the_same_ledger(torch_server: Server, subject: Subject) -> None:
    tree, workload = subject(TRAIN, training=TRAINING)
    forked = torch_server.run(tree, workload)
    assert isinstance(forked, Recorded), forked
    code = (
        "import json, sys; from pathlib import Path; from unbloat.golden.run import run_workload;"
        "from unbloat.subject import Workload;"
        "print(json.dumps(run_workload(Path(sys.argv[1]), Workload('flow', Path(sys.argv[2]), 'go')).to_json()))"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", code, tree, workload.file],
        env={**os.environ, **SERVER_ENVIRONMENT},
        check=True,
        capture_output=True,
    )
    ledger = Ledger.from_json(json.loads(fresh.stdout))
    # The working folders' names differ in length, and a pickle holds the length.
    assert _without_files(forked.ledger) == _without_files(ledger)
    assert len(ledger.entries) > 50


def _without_files(ledger: Ledger) -> Ledger:
    return Ledger(ledger.workload, tuple(entry for entry in ledger.entries if entry.kind != "file"))


def test_two_forks_write_the_same_checkpoint(torch_server: Server, subject: Subject) -> None:
    tree, workload = subject(TRAIN, training=TRAINING)
    first, second = torch_server.run(tree, workload), torch_server.run(tree, workload)
    assert isinstance(first, Recorded)
    assert isinstance(second, Recorded)
    assert first.ledger.entries[-1].kind == "warning"
    assert any(entry.name == "files/net.ckpt" for entry in first.ledger.entries)
    assert first.ledger == second.ledger


def test_an_operation_added_to_the_tree_is_seen(torch_server: Server, subject: Subject) -> None:
    before = torch_server.run(*subject(TRAIN, training=TRAINING))
    changed = TRAINING.replace("optimizer.step()", "optimizer.step(); (loss + 1)")
    after = torch_server.run(*subject(TRAIN, training=changed))
    assert isinstance(before, Recorded)
    assert isinstance(after, Recorded)
    divergence = compare(before.ledger, after.ledger)
    assert divergence is not None
    assert divergence.entry == "tape[0]"
