"""`python -m data.generate`: write the task data, or with `--check` prove that the files at hand are what it writes."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data.generate.files import read_manifest_tasks, task_path, write_summaries, write_task
from data.generate.reference import TASK_IDS

DATA_FOLDER = Path(__file__).resolve().parent.parent
SUMMARIES = ("manifest.json", "README.md")


def write(folder: Path, task_ids: Sequence[str]) -> None:
    """Write the given tasks' files and bring manifest and README up to date with them."""
    kept = {} if set(task_ids) == set(TASK_IDS) else read_manifest_tasks(folder)
    entries = {task_id: write_task(folder, task_id) for task_id in task_ids}
    write_summaries(folder, entries, kept)


def check(folder: Path, task_ids: Sequence[str]) -> bool:
    """Write the given tasks into a scratch copy and compare the folder with it byte for byte."""
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        for name in SUMMARIES:
            shutil.copy(folder / name, scratch / name)
        write(scratch, task_ids)
        files = {task_id: task_path(Path(), task_id) for task_id in task_ids}
        files |= {name: Path(name) for name in SUMMARIES}
        verdicts = [report(name, scratch / file, folder / file) for name, file in files.items()]
    return all(verdicts)


def report(name: str, expected: Path, actual: Path) -> bool:
    """Say whether the file at hand has the expected bytes."""
    same = actual.is_file() and actual.read_bytes() == expected.read_bytes()
    print(f"{name} {'same' if same else 'differs' if actual.is_file() else 'missing'}")
    return same


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 if a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m data.generate", description="Write or check the task data.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare the files with a fresh run")
    parser.add_argument("--task", choices=TASK_IDS, metavar="ID", help="only this task")
    options = parser.parse_args(arguments)
    task_ids = (options.task,) if options.task else TASK_IDS
    if options.check:
        return 0 if check(DATA_FOLDER, task_ids) else 1
    write(DATA_FOLDER, task_ids)
    return 0


if __name__ == "__main__":
    sys.exit(main())
