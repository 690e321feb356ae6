"""What the legacy infers because its source is not public, from the docstrings that say so.

The form is `[INFERRED] what was chosen; alternatives: what else it could be.` at the end of a paragraph. What does not fit
is listed all the same, with whatever the docstring says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LABEL = "[INFERRED]"
_ALTERNATIVES = re.compile(r"[\s;.(]*\balternatives?(?: considered)?:\s*", re.IGNORECASE)
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Unread(ValueError):
    """A label stands where this module does not look."""


@dataclass(frozen=True)
class Inference:
    """One label: where, what was chosen (or known), and what else was considered."""

    file: str
    name: str
    chosen: str
    alternatives: str

    @property
    def fits(self) -> bool:
        """Whether the docstring has the agreed form."""
        return bool(self.chosen and self.alternatives)


def inferences(package: Path) -> list[Inference]:
    """Every label of the package.

    Raises:
        Unread: a label is not in a docstring.
    """
    found = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if LABEL not in text:
            continue
        file = path.relative_to(package).as_posix()
        here = [one for name, node in _documented(ast.parse(text)) for one in _of_docstring(file, name, node)]
        if len(here) != text.count(LABEL):
            raise Unread(f"{file}: {text.count(LABEL)} labels, {len(here)} of them in docstrings")
        found += here
    return found


def _documented(node: _Documented, prefix: str = "") -> Iterator[tuple[str, _Documented]]:
    yield prefix, node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(child, f"{prefix}.{child.name}".lstrip("."))


def _of_docstring(file: str, name: str, node: _Documented) -> Iterator[Inference]:
    for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
        before, *labelled = " ".join(paragraph.split()).split(LABEL)
        for text in labelled:
            chosen, alternatives = _parted(text)
            if not alternatives and re.match(r"\s*([,.)]|$)", text):
                chosen = before.strip().rpartition(". ")[2].rstrip(" (,") + text
            yield Inference(file, name, _tidy(chosen), _tidy(alternatives))
            before = text


def _parted(text: str) -> tuple[str, str]:
    match = _ALTERNATIVES.search(text)
    return (text[: match.start()], text[match.end() :]) if match else (text, "")


def _tidy(text: str) -> str:
    text = text.strip(" .;")
    if text.count(")") > text.count("("):
        text = text.removesuffix(")").strip(" .")
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text).replace("|", "\\|").replace("*", "\\*").replace("  ", " ")


def inferences_block(package: Path) -> str:
    """All of them as a table."""
    found = inferences(package)
    lines = [
        f"{len(found)} places; {sum(bool(one.alternatives) for one in found)} of them name what else was considered.",
        "",
        "| module | where | inferred, or what is known | alternatives considered |",
        "|---|---|---|---|",
    ]
    for one in found:
        where = f"`{one.name}`" if one.name else "the module"
        lines.append(f"| `{one.file}` | {where} | {one.chosen or 'what the docstring says'} | {one.alternatives or '–'} |")
    return "\n".join(lines)
