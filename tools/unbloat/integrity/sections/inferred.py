"""Missing or inferred source: labels in docstrings and comments, and names that nobody defines."""

from __future__ import annotations

import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from unbloat.integrity.report import Check, Section, Table
from unbloat.integrity.reproduction import Reproduction
from unbloat.verify.checks import undefined_names

LABEL = "[INFERRED]"
_LONGEST = 200


@dataclass(frozen=True)
class Inference:
    """A label with what it says, up to the end of its sentence or paragraph."""

    line: int
    text: str


def inferred(found: Reproduction) -> Section:
    """Every label of the legacy, and whether the code that it speaks of survives."""
    rows, altered = [], []
    for file, text in found.legacy.items():
        now = found.now.get(file)
        left = Counter(one.text for one in inferences(found.stripped[now])) if now is not None else Counter()
        for one in inferences(text):
            left[one.text] -= 1
            rows.append((f"{file}:{one.line}", one.text, "survives" if left[one.text] >= 0 else "gone with its code"))
        altered += [f"{now}: {text}" for text, count in left.items() if count > 0]
    checks = [Check(f"each {LABEL} of the stripped tree says what it says in the legacy", len(rows), tuple(altered))]
    names = [
        (
            file,
            name,
            "yes" if file in found.now and name in undefined_names(found.definitions.stripped[found.now[file]]) else "gone",
        )
        for file, tree in found.definitions.legacy.items()
        for name in undefined_names(tree)
    ]
    tables = [
        Table(f"Places labelled {LABEL}", ("legacy", "what is inferred", "in the stripped tree"), tuple(rows)),
        Table("Names that the legacy reads and nobody defines", ("file", "name", "still read"), tuple(names)),
    ]
    return Section("Missing or inferred source", tuple(checks), tuple(tables))


def inferences(text: str) -> Iterator[Inference]:
    """From comments and strings: a docstring is one."""
    if LABEL not in text:
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) and LABEL in token.string:
            for match in re.finditer(re.escape(LABEL), token.string):
                line = token.start[0] + token.string[: match.start()].count("\n")
                yield Inference(line, _said(token.string, match.start(), match.end()))


def _said(text: str, start: int, end: int) -> str:
    """What follows the label in its paragraph; where nothing does, what comes before it."""
    after = " ".join(re.split(r"\n\s*\n", text[end:])[0].strip("\"' .)#").split())
    if len(after) > 2:
        return after[:_LONGEST]
    before = " ".join(re.split(r"\n\s*\n", text[:start])[-1].strip("\"' #(").split())
    return before[-_LONGEST:]
