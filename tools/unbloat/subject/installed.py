"""A package that pip installed, as a legacy: its files are copied once and used from there, never edited.

What counts as the package is what its distribution lists in RECORD, with the hashes that it lists: a file that somebody
edited, or added, in site-packages is not that version, and a proof about it would be about nothing in particular.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unbloat.errors import SubjectError

_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([A-Za-z0-9.+!_-]+)")
_COMPILED = (".so", ".pyd", ".pyc")


@dataclass(frozen=True)
class Installed:
    """One import package of one installed distribution."""

    requirement: str
    package: str
    origin: Path
    """Where it is imported from without us: a folder, or the file of a single-file module."""
    files: Mapping[str, bytes]
    """Everything in it, by path relative to the folder that holds the package; with an `__init__.py` if it has none."""

    @property
    def key(self) -> str:
        digest = hashlib.sha256()
        for name in sorted(self.files):
            digest.update(name.encode() + b"\0" + hashlib.sha256(self.files[name]).digest())
        return digest.hexdigest()[:12]


def find_installed(requirement: str, package: str) -> Installed:
    """Read the files of `package` as `requirement`, NAME==VERSION, installed them; nothing is imported.

    Raises:
        SubjectError: it is not installed in this version, or not as files that can be stripped.
    """
    matched = _REQUIREMENT.fullmatch(requirement)
    if matched is None:
        raise SubjectError(f"{requirement!r} is not NAME==VERSION; only an exact version can be proven")
    name, version = matched.groups()
    wanted = f"run: python -m pip install {requirement}"
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise SubjectError(f"{name} is not installed in this environment; {wanted}") from None
    if distribution.version != version:
        raise SubjectError(f"{name} {distribution.version} is installed, not {version}; {wanted}")
    listed = _listed(distribution, package)
    if not listed:
        raise SubjectError(f"{requirement} installs no package {package!r}; {_instead(distribution)}")
    files = {_in_package(path, package): _content(distribution, path) for path in listed}
    if not any(name.endswith(".py") for name in files):
        raise SubjectError(f"package {package!r} of {requirement} has no Python source to strip")
    files.setdefault(f"{package}/__init__.py", b"")
    origin = Path(os.path.realpath(str(distribution.locate_file(package))))
    if not origin.is_dir():
        origin = origin.with_name(f"{package}.py")
    _refuse_unlisted(origin, package, files, requirement)
    return Installed(requirement, package, origin, files)


def distribution_of(package: str) -> str:
    """The requirement, NAME==VERSION, that installed an import package.

    Raises:
        SubjectError: none did, or more than one.
    """
    owners = sorted({one.metadata["Name"] for one in importlib.metadata.distributions() if _listed(one, package)})
    if len(owners) == 1:
        return f"{owners[0]}=={importlib.metadata.version(owners[0])}"
    if owners:
        raise SubjectError(f"package {package!r} is shared by {', '.join(owners)}; a package of one distribution is wanted")
    try:
        distribution = importlib.metadata.distribution(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        raise SubjectError(f"no installed package {package!r}; install it in this environment first") from None
    raise SubjectError(f"no installed package {package!r}: that is the name of a distribution; {_instead(distribution)}")


def unpack(installed: Installed, folder: Path) -> Path:
    """Copy the package beneath `folder`; the folder that then holds it. What was copied before is used again.

    Raises:
        SubjectError: somebody edited the copy.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", installed.requirement.replace("==", "-"))
    target = folder / f"{name}-{installed.key}"
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
        try:
            for file, content in installed.files.items():
                path = draft / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            draft.chmod(0o755)
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # Else another process has just done the same.
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    present = {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for file in sorted(present.keys() | installed.files.keys()):
        if present.get(file) != installed.files.get(file):
            raise SubjectError(f"{target / file} differs from {installed.requirement}; remove {target}, it is copied anew")
    return target


def _listed(distribution: importlib.metadata.Distribution, package: str) -> list[importlib.metadata.PackagePath]:
    return [
        path
        for path in distribution.files or ()
        if (path.parts[0] == package or (len(path.parts) == 1 and _module_name(path) == package))
        and "__pycache__" not in path.parts
    ]


def _module_name(path: PurePosixPath) -> str | None:
    """The module that a file at the top is, `six` for `six.py`, or for a compiled `six.cpython-311-….so`."""
    return path.name.partition(".")[0] if path.name.endswith((".py", *_COMPILED)) else None


def _in_package(path: PurePosixPath, package: str) -> str:
    """A single-file module becomes a package of one file, since what is stripped is a folder."""
    return f"{package}/__init__.py" if path.parts == (f"{package}.py",) else path.as_posix()


def _content(distribution: importlib.metadata.Distribution, path: importlib.metadata.PackagePath) -> bytes:
    file = Path(str(distribution.locate_file(path)))
    again = f"reinstall {distribution.metadata['Name']} with --force-reinstall"
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise SubjectError(f"{file} is listed in RECORD but missing; {again}") from None
    if path.hash is not None and path.hash.mode in ("sha256", "sha384", "sha512"):
        found = base64.urlsafe_b64encode(hashlib.new(path.hash.mode, content).digest()).rstrip(b"=").decode()
        if found != path.hash.value:
            raise SubjectError(f"{file} was edited after it was installed; {again}")
    return content


def _refuse_unlisted(origin: Path, package: str, files: Mapping[str, bytes], requirement: str) -> None:
    """Another distribution, or a person, put modules into the same folder: what is imported is more than what is listed."""
    for path in sorted(origin.rglob("*.py")) if origin.is_dir() else ():
        name = f"{package}/{path.relative_to(origin).as_posix()}"
        if name not in files:
            raise SubjectError(f"{path} is in the package's folder but no part of {requirement}; use a clean environment")


def _instead(distribution: importlib.metadata.Distribution) -> str:
    """What a distribution does install, for a message."""
    files = [path for path in distribution.files or () if ".." not in path.parts and "__pycache__" not in path.parts]
    names = {path.parts[0] for path in files if len(path.parts) > 1 and not path.parts[0].endswith(".dist-info")}
    names |= {path.stem for path in files if len(path.parts) == 1 and path.suffix == ".py"}
    if not names or any(name.startswith("__editable__") for name in names):
        return "no files of it are listed, as in an editable install; install it without --editable, or use `legacy`"
    return f"it installs {', '.join(sorted(name for name in names if name.isidentifier()))}"
