"""Put a bundle together, and write it as a whole."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unbloat.bundle.config import Pruned, pruned
from unbloat.bundle.requirements import Requirements, requirements
from unbloat.bundle.scripts import foreign_imports, with_helpers
from unbloat.errors import SubjectError
from unbloat.evidence import Facts
from unbloat.restructure import by_new_names, load_aliases
from unbloat.subject import Bundle, Subject
from unbloat.subject.manifest import read_manifest
from unbloat.subject.sources import parse_file
from unbloat.verify.trees import read_tree, replace_tree

MANIFEST = "MANIFEST"
GUARDS = ("pinned", "unbloat_pinned")


@dataclass(frozen=True)
class Bundled:
    """The files of a bundle by path, and what was decided about them."""

    files: Mapping[str, bytes]
    requirements: Requirements
    config: Pruned | None

    def summary(self) -> list[str]:
        """What a user should know."""
        found = [f"requires {', '.join(self.requirements.pins) or 'nothing'}"]
        found += [f"not installed, so not required: {name}, imported by {by}" for name, by in self.requirements.absent.items()]
        if self.config is not None:
            one = self.config
            found.append(
                f"config: {one.leaves} leaves, {one.kept} kept ({one.read} read by the workloads, "
                f"{one.guarded} more asked for by the guard, {one.named} more named in the code)"
            )
        return found


def wanted(subject: Subject) -> Bundle:
    """What [bundle] says.

    Raises:
        SubjectError: there is none.
    """
    if subject.bundle is None:
        raise SubjectError(f"{subject.file}: [bundle]: is missing; name at least `scripts` and `gate`")
    return subject.bundle


def bundle_files(subject: Subject, facts: Facts) -> Bundled:
    """Everything that the bundle of a subject holds. `facts` are of the workloads that it has to serve.

    Raises:
        SubjectError: there is no [bundle], nothing stripped, or two files would get the same name.
    """
    bundle = wanted(subject)
    package = {f"{subject.package}/{name}": content for name, content in read_tree(subject.stripped / subject.package).items()}
    if f"{subject.package}/__init__.py" not in package:
        raise SubjectError(f"{subject.stripped}: holds no package {subject.package!r}; run `unbloat strip` first")
    scripts = with_helpers(bundle.scripts, subject.package, [subject.root])
    files = Files()
    files.add(package)
    aliases = load_aliases(subject)
    files.add({name: by_new_names(path.read_text(encoding="utf-8"), aliases).encode() for name, path in scripts.items()})
    sources = dict(files.content)
    for name, path in bundle.files.items():
        found = {f"{name}/{inner}": content for inner, content in read_tree(path).items()} if path.is_dir() else None
        files.add({name: path.read_bytes()} if found is None else found)
    config = None
    if subject.config_file is not None:
        guard = next((package[f"{subject.package}/{name}.py"] for name in GUARDS if is_guard(package, subject, name)), None)
        config = pruned(subject.config_file, facts, without_guard(sources, guard), guard)
        files.add({config_name(subject): config.text.encode()})
    own = [subject.package, *(name.removesuffix(".py") for name in scripts)]
    needed = requirements(foreign_imports(sources, own), bundle.requires)
    files.add({"requirements.txt": needed.text().encode(), "README.md": readme(subject).encode()})
    files.add({MANIFEST: manifest(files.content).encode()})
    return Bundled(files.content, needed, config)


def write_bundle(folder: Path, bundled: Bundled) -> None:
    """Put a bundle in place of an earlier one; a killed run leaves the one or the other.

    Raises:
        SubjectError: the folder holds something that no bundle has brought.
    """
    if folder.exists() and not folder.is_dir():
        raise SubjectError(f"{folder}: is not a folder; name another --out")
    present = set(read_tree(folder)) if folder.is_dir() else set()
    earlier = {MANIFEST, *read_manifest(folder / MANIFEST)} if MANIFEST in present else set()
    if strange := sorted(present - earlier):
        raise SubjectError(f"{folder}: holds {strange[0]}, which no bundle has brought; name another --out, or move it away")
    replace_tree(folder, bundled.files)


class Files:
    """Content by path; no path twice."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def add(self, more: Mapping[str, bytes]) -> None:
        for name, content in more.items():
            if name in self.content:
                raise SubjectError(f"[bundle]: two files would be {name}; give one of them another name")
            self.content[name] = content


def is_guard(package: Mapping[str, bytes], subject: Subject, name: str) -> bool:
    """A module that the legacy has is not the generated one."""
    file = f"{subject.package}/{name}.py"
    return file in package and not (subject.legacy / file).is_file()


def without_guard(sources: Mapping[str, bytes], guard: bytes | None) -> dict[str, bytes]:
    """The guard names every key that was folded away, which makes no use of it."""
    return {name: content for name, content in sources.items() if content is not guard}


def config_name(subject: Subject) -> str:
    """Where the config lies in a bundle: as it does beside strip.toml, or at the top."""
    file = subject.config_file
    assert file is not None
    return file.relative_to(subject.root).as_posix() if file.is_relative_to(subject.root) else file.name


def manifest(files: Mapping[str, bytes]) -> str:
    """Lines that `sha256sum -c` understands."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))


def readme(subject: Subject) -> str:
    lines = [
        f"# {subject.package}",
        "",
        "Generated by `unbloat bundle`: a stripped package with what uses it. `sha256sum -c MANIFEST` checks it.",
        "",
        "    python -m pip install -r requirements.txt",
        "",
    ]
    for script in wanted(subject).scripts:
        tree = parse_file(script)
        if is_program(tree):
            text = " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
            lines.append(f"- `{script.name}`: {text.replace(f'python {script.parent.name}/', 'python ')}")
    return "\n".join(lines) + "\n"


def is_program(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'" for node in tree.body)
