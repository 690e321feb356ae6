"""The names that the legacy knows, and what they are called now: workloads keep using the former."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbloat.atomic import replace_text
from unbloat.errors import SubjectError
from unbloat.restructure.mentions import lines_of
from unbloat.subject import Subject


@dataclass(frozen=True)
class Aliases:
    """`modules`: a module's legacy name to its name now. `names`: of a module as it is now, earlier names to names now."""

    modules: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def moved(self, old: str, new: str) -> Aliases:
        """After a module was moved, or became a part of another."""
        modules = {legacy: new if now == old else now for legacy, now in self.modules.items()}
        # Unless the module came into being on the way: then nobody outside knows its name.
        if old not in self.modules.values():
            modules[old] = new
        names = {module: dict(known) for module, known in self.names.items() if module != old}
        names.setdefault(new, {}).update(self.names.get(old, {}))
        return Aliases(
            {legacy: now for legacy, now in modules.items() if legacy != now},
            {module: known for module, known in names.items() if known},
        )

    def renamed(self, module: str, old: str, new: str) -> Aliases:
        """After a name of a module was changed."""
        known = {earlier: new if now == old else now for earlier, now in self.names.get(module, {}).items()}
        known[old] = new
        known.pop(new, None)
        return Aliases(self.modules, {**self.names, module: known})

    def __bool__(self) -> bool:
        return bool(self.modules or self.names)

    def to_json(self) -> dict[str, Any]:
        return {"modules": dict(self.modules), "names": {module: dict(known) for module, known in self.names.items()}}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Aliases:
        return cls(fields["modules"], fields["names"])


def aliases_file(subject: Subject) -> Path:
    """Beside the stripped package: whoever uses it by legacy names needs it."""
    return subject.stripped / "aliases.json"


def save_aliases(subject: Subject, aliases: Aliases) -> None:
    """Keep what was renamed; no file if nothing was."""
    if aliases:
        replace_text(aliases_file(subject), json.dumps(aliases.to_json(), indent=1, sort_keys=True) + "\n")
    else:
        aliases_file(subject).unlink(missing_ok=True)


def load_aliases(subject: Subject) -> Aliases:
    """What was renamed in the stripped package, if anything.

    Raises:
        SubjectError: the file is damaged.
    """
    file = aliases_file(subject)
    if not file.exists():
        return Aliases()
    try:
        return Aliases.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        raise SubjectError(f"{file}: is damaged; run `unbloat strip` again") from None


def by_new_names(text: str, aliases: Aliases) -> str:
    """The text of a script that imports by legacy names, importing by the names of now.

    Texts that are a moved module's name are changed too: where a script holds one, it looks the module up.

    Raises:
        SubjectError: a name was moved in a way that cannot be written in the script's place.
    """
    lines = lines_of(text)
    edits: list[tuple[ast.stmt | ast.expr, str]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            module = aliases.modules.get(node.module, node.module)
            names = aliases.names.get(module, {})
            moved = {f"{node.module}.{alias.name}" for alias in node.names} & aliases.modules.keys()
            if module == node.module and not moved and not names.keys() & {alias.name for alias in node.names}:
                continue
            edits.append((node, _from_import(node, module, names, aliases)))
        elif isinstance(node, ast.Import) and any(alias.name in aliases.modules for alias in node.names):
            if not all(alias.asname for alias in node.names):
                raise SubjectError(f"a script's `{ast.unparse(node)}` names a moved module; write `import … as …`")
            shown = (f"{aliases.modules.get(alias.name, alias.name)} as {alias.asname}" for alias in node.names)
            edits.append((node, f"import {', '.join(shown)}"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in aliases.modules:
            edits.append((node, repr(aliases.modules[node.value]).replace("'", '"')))
    for node, instead in sorted(edits, key=lambda edit: (edit[0].lineno, edit[0].col_offset), reverse=True):
        assert node.end_lineno is not None
        first, last = lines[node.lineno - 1].encode(), lines[node.end_lineno - 1].encode()
        whole = first[: node.col_offset] + instead.encode() + last[node.end_col_offset :]
        lines[node.lineno - 1 : node.end_lineno] = [whole.decode()]
    return "".join(lines)


def _from_import(node: ast.ImportFrom, module: str, names: Mapping[str, str], aliases: Aliases) -> str:
    kept = [alias for alias in node.names if f"{node.module}.{alias.name}" not in aliases.modules]
    shown = []
    for alias in kept:
        now, known = names.get(alias.name, alias.name), alias.asname or alias.name
        shown.append(now if now == known else f"{now} as {known}")
    written = [f"from {module} import {', '.join(shown)}"] if shown else []
    for alias in node.names:
        if (place := aliases.modules.get(f"{node.module}.{alias.name}")) is not None:
            parent, _, name = place.rpartition(".")
            known = alias.asname or alias.name
            written.append(f"from {parent} import {name}" + (f" as {known}" if known != name else ""))
    return "; ".join(written)
