"""Every job of the project, each in a virtual environment of its own that holds exactly the pinned versions."""

from __future__ import annotations

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
SUBJECT = "reproduction/strip.toml"
STATUS = "docs/progress/STATUS.md"
CONSTRAINTS = "reproduction/constraints.txt"

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"


def prepare(session: nox.Session, *groups: str) -> None:
    """Install the project and some dependency groups, in the versions that the goldens were recorded with."""
    session.install("-c", CONSTRAINTS, "-e", ".[champion,scripts]", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def strip(session: nox.Session) -> None:
    """Strip every phase of the champion, then write the status page."""
    prepare(session)
    session.run("unbloat", "strip", "--subject", SUBJECT, *session.posargs)
    session.run("unbloat", "report", "--subject", SUBJECT, "--status", STATUS)


@nox.session(name="strip-data", default=False)
def strip_data(session: nox.Session) -> None:
    """Strip the data phase of the champion."""
    prepare(session)
    session.run("unbloat", "strip", "--subject", SUBJECT, "--phase", "data", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Lint, types, and all tests with coverage of the toolkit; arguments after `--` go to pytest."""
    prepare(session, "tests", "lint", "data")
    if not session.posargs:
        session.run("ruff", "check", ".")
        session.run("ruff", "format", "--check", ".")
        session.run("mypy")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "2", "--dist", "loadfile", *session.posargs)
    if not session.posargs:
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report", "--fail-under=90")


@nox.session(default=False)
def golden(session: nox.Session) -> None:
    """The golden tests alone: one suite against the legacy and against every phase's tree."""
    prepare(session, "tests")
    session.run("pytest", "tests/golden", *session.posargs)


@nox.session(default=False)
def data(session: nox.Session) -> None:
    """Regenerate the task data and compare it with what is committed; `-- --write` replaces it."""
    prepare(session, "data")
    arguments = ["--check"] if "--write" not in session.posargs else []
    session.run("python", "-m", "data.generate", *arguments)


@nox.session(default=False)
def evaluate(session: nox.Session) -> None:
    """Measure the committed checkpoint on held-out pairs and draw its answers; `docs` shows them."""
    prepare(session)
    checkpoint, folder = "weights/champion_bootstrap.ckpt", "weights/evaluation"
    session.run("python", "reproduction/evaluate.py", "--checkpoint", checkpoint, "--out", folder, *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Write the generated parts of the documentation anew; a test fails while they are stale."""
    prepare(session)
    session.run("python", "docs/generate.py", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """What a warm fork, the probes and the op tape cost, as ratios within one run."""
    prepare(session)
    session.run("python", "tests/bench/bench.py", *session.posargs)
