"""From which line of which file each line has come, step after step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from unbloat.restructure.mentions import lines_of

Line = tuple[str, int]
"""A file and a line of it, counted from 1."""


def identity(files: Mapping[str, str]) -> dict[Line, Line]:
    """Before the first step every line is where it is."""
    return {(file, number): (file, number) for file, text in files.items() for number, _ in enumerate(lines_of(text), 1)}


def traced(
    before: Mapping[str, str],
    after: Mapping[str, str],
    sources: Mapping[str, Sequence[str]],
    earlier: Mapping[Line, Line],
) -> dict[Line, Line]:
    """Continue `earlier` over one step. `sources` has the files that a new file was made from, if others than itself.

    A line that a step rewrote (an import, a name) has come from the line in whose place it is.
    """
    found: dict[Line, Line] = {}
    for file, text in after.items():
        origins = sources.get(file, (file,))
        old = [(origin, number, line) for origin in origins for number, line in enumerate(_lines(before, origin), 1)]
        for new, number in _matched([line for *_, line in old], lines_of(text)).items():
            origin, place, _ = old[number]
            if (origin, place) in earlier:
                found[file, new + 1] = earlier[origin, place]
    return found


def _lines(files: Mapping[str, str], file: str) -> list[str]:
    return lines_of(files.get(file, ""))


def _matched(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """New line to old line, both counted from 0."""
    found: dict[int, int] = {}
    for what, first, last, at, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal" or (what == "replace" and last - first == end - at):
            found.update(zip(range(at, end), range(first, last), strict=True))
    # Imports of merged modules go to the top, out of their order, and without what another one imports already.
    for part_of in (str, lambda line: line.partition(" import ")[0]):
        used, left = set(found.values()), defaultdict(list)
        for number, line in enumerate(old):
            if number not in used and _is_import(line):
                left[part_of(line)].append(number)
        for number, line in enumerate(new):
            if number not in found and left[part_of(line)]:
                found[number] = left[part_of(line)].pop(0)
    return found


def _is_import(line: str) -> bool:
    return line.startswith(("import ", "from "))
