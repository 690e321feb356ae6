"""Every job of the project, each in a virtual environment of its own that holds exactly the pinned versions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
SUBJECT = "reproduction/strip.toml"
STATUS = "docs/progress/STATUS.md"
RESULTS = "docs/results"
REPORT = "runs/report.html"
INTEGRITY = "docs/integrity.md"
CERTIFICATE = "docs/certificate.json"
CONSTRAINTS = "reproduction/constraints.txt"
CONFIGS = ("bam_looped", "moe_rdrop_swa")
EXAMPLES = (
    "x_transformers",
    "pytorch_forecasting",
    "linformer",
    "mambapy",
    "metric_learning",
    "performer",
    "tabnet",
    "torchdiffeq",
)

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"


def prepare(session: nox.Session, *groups: str) -> None:
    """Install the project and some dependency groups, in the versions that the goldens were recorded with."""
    session.install("-c", CONSTRAINTS, "-e", ".[champion,scripts]", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def strip(session: nox.Session) -> None:
    """Strip every phase of the champion, then write the status page and the figures of docs/results.md."""
    prepare(session)
    session.run("unbloat", "strip", "--subject", SUBJECT, *session.posargs)
    session.run("unbloat", "report", "--subject", SUBJECT, "--status", STATUS, "--json", f"{RESULTS}.json")
    session.run("python", "docs/generate.py", "results")


def strip_up_to(session: nox.Session, phase: str) -> None:
    """One phase after those before it, which are only looked up if they are stripped already."""
    prepare(session)
    session.run("unbloat", "strip", "--subject", SUBJECT, "--phase", phase, *session.posargs)


@nox.session(name="strip-data", default=False)
def strip_data(session: nox.Session) -> None:
    """Strip the champion's data modules."""
    strip_up_to(session, "data")


@nox.session(name="strip-model", default=False)
def strip_model(session: nox.Session) -> None:
    """Strip the champion up to its transformer and context encoder."""
    strip_up_to(session, "model")


@nox.session(name="strip-training", default=False)
def strip_training(session: nox.Session) -> None:
    """Strip the champion up to its trainer and fine-tuner."""
    strip_up_to(session, "training")


@nox.session(name="strip-final", default=False)
def strip_final(session: nox.Session) -> None:
    """Strip the champion up to the phase that goes over every module, and make its imports local."""
    strip_up_to(session, "final")


@nox.session(default=False)
def configs(session: nox.Session) -> None:
    """Strip and verify the champion's legacy for its two other configs, and write docs/configs; names after `--` choose one."""
    prepare(session)
    for name in session.posargs or CONFIGS:
        subject, pages = f"reproduction/strip_{name}.toml", f"docs/configs/{name}"
        session.run("unbloat", "strip", "--subject", subject)
        session.run("unbloat", "verify", "--subject", subject)
        session.run("unbloat", "report", "--subject", subject, "--status", f"{pages}.md", "--json", f"{pages}.json")
    session.run("python", "docs/generate.py", "results")


@nox.session
def tests(session: nox.Session) -> None:
    """Lint, types, and all tests with coverage of the toolkit; arguments after `--` go to pytest."""
    prepare(session, "tests", "lint", "data")
    if not session.posargs:
        session.run("ruff", "check", ".")
        session.run("ruff", "format", "--check", ".")
        session.run("mypy")
    session.run("coverage", "erase")
    # pytest-cov has each of the two processes save its part before it may be told to end.
    session.run("pytest", "-n", "2", "--dist", "loadfile", "--cov", "--cov-report=", *session.posargs)
    if not session.posargs:
        session.run("coverage", "report", "--fail-under=90")


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Write the status page, figures, HTML report, integrity report and certificate of the stripped champion."""
    prepare(session)
    pages = ("--status", STATUS, "--json", f"{RESULTS}.json", "--html", REPORT, "--integrity", INTEGRITY)
    session.run("unbloat", "report", "--subject", SUBJECT, *pages)
    session.run("unbloat", "certify", "--subject", SUBJECT, "--out", CERTIFICATE)
    session.run("python", "docs/generate.py", "results")


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """The tests of the HTML report in headless Chromium, which has to be there; UNBLOAT_CHROMIUM may say where."""
    if not (os.environ.get("UNBLOAT_CHROMIUM") or shutil.which("chromium")):
        session.error("no chromium: install Debian's `chromium`, or set UNBLOAT_CHROMIUM to a browser's path")
    prepare(session, "tests", "browser")
    session.run("pytest", "tests/html", "tests/browser", *session.posargs)


@nox.session(default=False)
def golden(session: nox.Session) -> None:
    """The golden tests alone: one suite against the legacy and against every phase's tree."""
    prepare(session, "tests")
    session.run("pytest", "tests/golden", *session.posargs)


@nox.session(default=False)
def examples(session: nox.Session) -> None:
    """Strip, verify and challenge packages from elsewhere, and write docs/examples; names after `--` choose among them."""
    prepare(session)
    for name in session.posargs or EXAMPLES:
        subject = f"reproduction/examples/{name}/strip.toml"
        session.install("-c", CONSTRAINTS, "-r", f"reproduction/examples/{name}/requirements.txt")
        session.run("unbloat", "strip", "--subject", subject)
        session.run("unbloat", "verify", "--subject", subject)
        pages = f"docs/examples/{name}"
        session.run("unbloat", "report", "--subject", subject, "--status", f"{pages}.md", "--json", f"{pages}.json")
        session.run("unbloat", "challenge", "--subject", subject, "--json", f"{pages}.challenge.json")
    session.run("python", "docs/generate.py", "results")


@nox.session(default=False)
def challenge(session: nox.Session) -> None:
    """Change one pin at a time: the stripped champion follows the legacy, or says that it cannot; silence fails."""
    prepare(session)
    session.run("unbloat", "challenge", "--subject", SUBJECT, "--json", f"{RESULTS}.challenge.json", *session.posargs)
    session.run("python", "docs/generate.py", "results")


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Strip random programs and use them in other ways: silence fails; `-- --programs 2000` says how many."""
    prepare(session, "tests")
    session.run("python", "-m", "tests.fuzz.run", *session.posargs)
    session.run("python", "docs/generate.py", "results")


@nox.session(default=False)
def mutate(session: nox.Session) -> None:
    """Change the stripped champion's algorithm a little, many times: the goldens notice, or it is said why they cannot."""
    prepare(session)
    found = f"{RESULTS}.mutate.json"
    session.run("unbloat", "mutate", "--subject", SUBJECT, "--json", found, *session.posargs)
    session.run("python", "docs/generate.py", "results")


@nox.session(default=False)
def standalone(session: nox.Session) -> None:
    """Bundle the champion, and use it where only its own requirements are installed."""
    prepare(session)
    place = Path(session.create_tmp()).resolve()  # the session goes into the bundle
    shutil.rmtree(place)  # a run of before
    place.mkdir()
    folder = place / "champion"
    session.run("unbloat", "bundle", "--subject", SUBJECT, "--out", str(folder))
    session.run("python", "-m", "venv", "--clear", str(place / "environment"))
    python = str(place / "environment" / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", "-r", str(folder / "requirements.txt"), external=True)
    session.chdir(folder)
    checkpoint = ("--checkpoint", "weights/champion.ckpt", "--tasks", "88a62173")
    session.run(python, "infer.py", *checkpoint, "--pairs", "2", "--out", "../answers.json", external=True)
    session.run(python, "finetune.py", *checkpoint, "--pairs", "5", "--epochs", "1", "--out", "../tuned", external=True)
    session.run(python, "train.py", "--quick", "--out", "../trained", external=True)


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
