"""Write the committed goldens anew: `python tests/golden/record_ledgers.py REASON`; the log beside them keeps the reason."""

from __future__ import annotations

import sys
from pathlib import Path

from unbloat.golden.store import save
from unbloat.phases import recording
from unbloat.subject import load_subject

FOLDER = Path(__file__).parent / "ledgers"
SUBJECT = Path(__file__).parents[2] / "reproduction" / "strip.toml"


def main(reason: str) -> None:
    subject = load_subject(SUBJECT)
    with recording(subject, print) as recorded:
        for name, golden in recorded.goldens.items():
            save(golden, FOLDER / f"{name}.json")
            with (FOLDER / "LOG.md").open("a", encoding="utf-8") as log:
                log.write(f"- `{name}`: {golden.digest()}: {reason}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit("usage: record_ledgers.py REASON")
    main(sys.argv[1])
