"""What was stripped is asked for through the config of the stripped package: every time it says so, and where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STRIPPED = Path(__file__).parents[2] / "reproduction" / "stripped"
CONFIG = Path(__file__).parents[2] / "reproduction" / "configs" / "champion.yaml"

SCRIPT = """
import json, sys
from omegaconf import OmegaConf

cfg = OmegaConf.load({config!r})
cfg.data.training_data_dir = {tasks!r}
for key, value in json.loads(sys.argv[1]).items():
    OmegaConf.update(cfg, key, value, force_add=True)
try:
    from champion.data.data_preparation import {function}
    {function}({arguments})
except NotImplementedError as error:
    print("loud:", error)
else:
    print("silent")
"""

# (row of the bloat inventory, config keys, what the error must name)
SWITCHES = [
    pytest.param({"data.use_synthetic_yardstick": True}, "data.use_synthetic_yardstick", id="57 yardstick benchmark"),
    pytest.param({"data.mode": "eval"}, "data.mode", id="58 eval mode"),
    pytest.param({"data.limit_train_samples": 5}, "data.limit_train_samples", id="58 limit of samples"),
    pytest.param(
        {"training.include_synthetic_training_data": True},
        "training.include_synthetic_training_data",
        id="58 synthetic-list files",
    ),
    pytest.param({"model.context_encoder.dynamic_pairs": False}, "model.context_encoder.dynamic_pairs", id="59 static pairs"),
]


def run_stripped(keys: dict[str, object], tasks: Path, environment: dict[str, str] | None = None, **call: str) -> str:
    """Ask the stripped package alone, in a process of its own."""
    script = SCRIPT.format(
        function=call.get("function", "prepare_data"),
        arguments=call.get("arguments", "cfg"),
        config=str(CONFIG),
        tasks=str(tasks),
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
    result = subprocess.run(
        [sys.executable, "-c", script, json.dumps(keys)],
        cwd=tasks,
        env={**clean, "PYTHONPATH": str(STRIPPED), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    pairs = [{"input": [[n % 10]], "output": [[(n + 1) % 10]]} for n in range(4)]
    (tmp_path / "00000000.json").write_text(json.dumps({"train": pairs, "test": []}))
    return tmp_path


@pytest.mark.parametrize(("keys", "named"), SWITCHES)
def test_removed_feature_is_loud(keys: dict[str, object], named: str, tasks: Path) -> None:
    """The guard names the key; a wire that comes first names the lines."""
    answer = run_stripped(keys, tasks)
    assert answer.startswith("loud: stripped: ")
    assert "champion/data/data_preparation.py:" in answer
    assert named in answer or not answer.startswith("loud: stripped: config key")


def test_inspecting_no_files_was_kept(tasks: Path) -> None:
    assert run_stripped({"data.inspect_files": 0}, tasks) == "silent"


def test_debug_environment_is_loud(tasks: Path) -> None:
    answer = run_stripped({}, tasks, {"JARC_FORCED_DEBUG": "1"})
    assert answer.startswith("loud: stripped: environment variable JARC_FORCED_DEBUG")


def test_removed_argument_is_loud(tasks: Path) -> None:
    answer = run_stripped(
        {},
        tasks,
        function="load_task_files",
        arguments="cfg.data.training_data_dir, cfg, include_synthetic=True, synthetic_dir='other'",
    )
    assert answer.startswith("loud: stripped: champion/data/data_preparation.py:160-165")


def test_pinned_config_is_accepted(tasks: Path) -> None:
    assert run_stripped({}, tasks) == "silent"


def test_a_number_that_was_kept_can_change(tasks: Path) -> None:
    assert run_stripped({"data.num_context_pairs": 1}, tasks) == "silent"
