"""`pytest --unbloat strip.toml`: every workload of every phase is a test against its committed golden.

Loaded by every pytest of the environment in which this tool is installed, so nothing is imported until somebody asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unbloat.pytest_plugin.items import Tests

_tests: pytest.StashKey[Tests] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("unbloat", "stripped packages against their goldens")
    group.addoption("--unbloat", metavar="FILE", help="test the workloads of this strip.toml")
    group.addoption("--unbloat-tree", metavar="FOLDER", help="the folder that holds the package (default: the stripped one)")
    group.addoption("--unbloat-goldens", metavar="FOLDER", help="the goldens (default: `goldens` beside strip.toml)")
    group.addoption(
        "--unbloat-accept", metavar="REASON", help="record goldens that are missing or that the legacy no longer has"
    )


def pytest_configure(config: pytest.Config) -> None:
    file, reason = config.getoption("unbloat"), config.getoption("unbloat_accept")
    if file is None:
        others = ("unbloat_tree", "unbloat_goldens", "unbloat_accept")
        for given in (name for name in others if config.getoption(name) is not None):
            raise pytest.UsageError(f"--{given.replace('_', '-')} needs --unbloat FILE")
        return
    if reason is not None and not reason.strip():
        raise pytest.UsageError("--unbloat-accept needs a reason: it is recorded in the log of the goldens")
    if reason is not None and (hasattr(config, "workerinput") or config.getoption("numprocesses", None)):
        raise pytest.UsageError("--unbloat-accept writes the goldens: leave out -n, so that one process does it")
    from unbloat.errors import UnbloatError
    from unbloat.pytest_plugin.items import Tests

    try:
        tree, goldens = (_path(config, name) for name in ("unbloat_tree", "unbloat_goldens"))
        config.stash[_tests] = Tests(config.invocation_params.dir / file, tree, goldens, reason)
    except UnbloatError as error:
        raise pytest.UsageError(f"unbloat: {error}") from None


def _path(config: pytest.Config, option: str) -> Path | None:
    given = config.getoption(option)
    return None if given is None else config.invocation_params.dir / given


def pytest_unconfigure(config: pytest.Config) -> None:
    if _tests in config.stash:
        config.stash[_tests].close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """First, so that `-k` and the distribution of xdist see these tests like any other."""
    if _tests in config.stash:
        from unbloat.pytest_plugin.items import SubjectTests

        root = SubjectTests.from_parent(session, name="unbloat", nodeid="unbloat", tests=config.stash[_tests])
        items += session.genitems(root)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _tests in config.stash and (accepted := config.stash[_tests].accepted):
        terminalreporter.section("accepted goldens")
        for line in accepted:
            terminalreporter.line(line)
