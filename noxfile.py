"""Every job of the project, each in a virtual environment that holds exactly the pinned versions."""

from __future__ import annotations

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
SUBJECT = "reproduction/strip.toml"
STATUS = "docs/progress/STATUS.md"
CONSTRAINTS = "reproduction/constraints.txt"

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"

# One environment serves every session: the subject's framework alone is a quarter of a gigabyte.
ENVIRONMENT = {"venv_location": ".nox/unbloat"}


def prepare(session: nox.Session) -> None:
    """Install the project and everything that its sessions use, in the versions that the goldens were recorded with."""
    groups = [name for group in ("tests", "lint", "data") for name in nox.project.dependency_groups(PROJECT, group)]
    session.install("-c", CONSTRAINTS, "-e", ".[champion]", *groups)


@nox.session(**ENVIRONMENT)
def strip(session: nox.Session) -> None:
    """Strip every phase of the champion, then write the status page."""
    prepare(session)
    session.run("unbloat", "strip", "--subject", SUBJECT, *session.posargs)
    session.run("unbloat", "report", "--subject", SUBJECT, "--status", STATUS)


@nox.session(name="strip-data", default=False, **ENVIRONMENT)
def strip_data(session: nox.Session) -> None:
    """Strip the data phase of the champion."""
    prepare(session)
    session.run("unbloat", "strip", "--subject", SUBJECT, "--phase", "data", *session.posargs)


@nox.session(**ENVIRONMENT)
def tests(session: nox.Session) -> None:
    """Lint, types, and all tests with coverage of the toolkit; arguments after `--` go to pytest."""
    prepare(session)
    if not session.posargs:
        session.run("ruff", "check", ".")
        session.run("ruff", "format", "--check", ".")
        session.run("mypy")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    if not session.posargs:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report", "--fail-under=90")


@nox.session(default=False, **ENVIRONMENT)
def golden(session: nox.Session) -> None:
    """The golden tests alone: one suite against the legacy and against every phase's tree."""
    prepare(session)
    session.run("pytest", "tests/golden", *session.posargs)


@nox.session(default=False, **ENVIRONMENT)
def data(session: nox.Session) -> None:
    """Regenerate the task data and compare it with what is committed; `-- --write` replaces it."""
    prepare(session)
    arguments = ["--check"] if "--write" not in session.posargs else []
    session.run("python", "-m", "data.generate", *arguments)


@nox.session(default=False, **ENVIRONMENT)
def docs(session: nox.Session) -> None:
    """Write the generated parts of the documentation anew; a test fails while they are stale."""
    prepare(session)
    session.run("python", "docs/generate.py", *session.posargs)


@nox.session(default=False, **ENVIRONMENT)
def bench(session: nox.Session) -> None:
    """What a warm fork, the probes and the op tape cost, as ratios within one run."""
    prepare(session)
    session.run("python", "tests/bench/bench.py", *session.posargs)
