"""Write the committed goldens anew: `python tests/golden/record_ledgers.py REASON`; the log beside them keeps the reason.

A golden leaves this machine only if it can hold on another: a workload that has a variant in double precision is left to
that variant.
"""

from __future__ import annotations

import sys
from pathlib import Path

from unbloat.golden.store import save
from unbloat.subject import load_subject
from unbloat.verify.determinism_check import assert_deterministic
from unbloat.verify.server import Server

FOLDER = Path(__file__).parent / "ledgers"
SUBJECT = Path(__file__).parents[2] / "reproduction" / "strip.toml"


def main(reason: str) -> None:
    subject = load_subject(SUBJECT)
    names = {workload.name for workload in subject.workloads}
    with Server(subject.preload) as server:
        for workload in subject.workloads:
            if f"{workload.name}_float64" in names:
                continue
            golden = assert_deterministic(server, subject.legacy, workload, subject.seed)
            file = FOLDER / f"{workload.name}.json"
            save(golden, file, server.environment)
            print(f"{workload.name}: {len(golden.entries)} entries, {file.stat().st_size / 1e6:.2f} MB")
            with (FOLDER / "LOG.md").open("a", encoding="utf-8") as log:
                log.write(f"- `{workload.name}`: {golden.digest()}: {reason}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit("usage: record_ledgers.py REASON")
    main(sys.argv[1])
