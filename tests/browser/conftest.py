"""The report as a browser shows it: a file, opened without any network."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unbloat.html import Judged, page

from tests.reported import make_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("UNBLOAT_CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@dataclass
class Shown:
    """A page with everything that it complained about or asked for."""

    page: Page
    url: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def at(self, address: str) -> Page:
        """Open the file anew at an address within it."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}{address}")
        return self.page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: install Debian's `chromium`, or set UNBLOAT_CHROMIUM to a browser's path")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dependency group `browser`)")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = make_report(tmp_path_factory.mktemp("report"))
    loud = Judged("config flag: False -> True", (("workload", "loud", "raised NotImplementedError"),))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(dataclasses.replace(report, challenge=(loud,))), encoding="utf-8")
    return path


@pytest.fixture
def show(browser: Browser, file: Path) -> Iterator[Callable[..., Shown]]:
    """Opens a window; at the end nothing may have been said on the console, or asked of the network."""
    opened: list[Shown] = []

    def make(width: int = 1440, height: int = 900, **options: str) -> Shown:
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        shown = Shown(context.new_page(), file.as_uri())
        shown.page.on("console", lambda message: shown.said.append(message.text))
        shown.page.on("pageerror", lambda error: shown.said.append(str(error)))
        shown.page.on("request", lambda request: shown.asked.append(request.url))
        opened.append(shown)
        return shown

    yield make
    for shown in opened:
        shown.page.context.close()
        assert shown.said == []
        assert {url.partition("#")[0] for url in shown.asked} <= {shown.url, "about:blank", "data:,"}
