"""The report in a browser: what is shown, by mouse and by keyboard, and that every line has an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.reported import MODULE

if TYPE_CHECKING:
    from playwright.sync_api import Page

Show = Callable[..., Any]
LINES = MODULE.split("\n")


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, 1) if line.strip() == text)


def row(page: Page, side: str, number: int) -> Any:
    return page.locator(f"#{side}-{number}")


def evidence(page: Page) -> str:
    return page.locator("#evidence").inner_text()


def chosen(page: Page) -> list[str]:
    return page.eval_on_selector_all('.l[aria-selected="true"]', "rows => rows.map(row => row.id)")


def test_the_overview(show: Show) -> None:
    page = show().at("")
    assert page.title() == "unbloat: pkg"
    assert page.locator("h2:visible").all_inner_texts() == ["What came of it", "Files", "Phases", "Goldens", "Challenge"]
    assert "✓ 1 of 1 phases identical" in page.locator("#badges").inner_text()
    assert page.locator("#files tbody tr").count() == 3
    assert page.locator("#goldens tbody tr").inner_text().endswith("identical")
    assert "config flag: False -> True" in page.locator("#challenge").inner_text()
    assert page.locator("#source").is_hidden()


def test_files_can_be_sorted(show: Show) -> None:
    page = show().at("")
    names = page.locator("#files tbody th")
    assert names.first.inner_text() == "pkg/module.py"
    page.get_by_role("button", name="File").click()
    assert names.all_inner_texts() == ["pkg/module.py", "pkg/helper.py", "pkg/__init__.py"]
    page.get_by_role("button", name="File").click()
    assert names.all_inner_texts() == ["pkg/__init__.py", "pkg/helper.py", "pkg/module.py"]
    assert page.locator("#files thead th").first.get_attribute("aria-sort") == "ascending"


def test_a_click_brings_the_evidence(show: Show) -> None:
    page = show().at("")
    page.get_by_role("link", name="pkg/module.py").click()
    changed = line_of("extra = 1 if cfg.flag else 2")
    row(page, "legacy", changed).click()
    said = evidence(page)
    assert f"pkg/module.py:{changed}" in said and "changed" in said
    assert (
        "fold decisions" in said and "evidence: pinned" in said and "flag = False" in said and "Executed by: workload." in said
    )
    assert page.evaluate("location.hash") == f"#legacy/pkg/module.py:{changed}"
    [other] = page.locator("#stripped-pane .l.other code").all_inner_texts()
    assert other.strip() == "extra = 2"


def test_a_check_tells_what_it_stands_for(show: Show) -> None:
    line = line_of("if len(values) > 9:")
    page = show().at(f"#legacy/pkg/module.py:{line}")
    page.locator("#evidence ul.code a").click()
    said = evidence(page)
    assert "generated" in said and "Stands for" in said and "trip unseen code" in said
    assert f"pkg/module.py:{line}\n" in said and f"pkg/module.py:{line + 1}\n" in said


def test_links_lead_both_ways(show: Show) -> None:
    changed = line_of("extra = 1 if cfg.flag else 2")
    page = show().at(f"#legacy/pkg/module.py:{changed}")
    page.locator("#evidence li a", has_text="pkg/module.py:").first.click()
    assert "Comes from" in evidence(page) and "rewritten" in evidence(page)
    assert chosen(page)[0].startswith("stripped-")
    page.locator("#evidence ul.code a").click()
    assert chosen(page) == [f"legacy-{changed}"]


def test_a_moved_file_is_shown_beside_its_origin(show: Show) -> None:
    page = show().at("#legacy/pkg/helper.py:3")
    assert "moved" in evidence(page) and "restructuring moved it to pkg/parts/helper.py" in evidence(page)
    assert page.locator("#stripped-pane select").input_value() == "pkg/parts/helper.py"
    assert page.locator("#stripped-pane .l.other").count() == 1


def test_a_removed_line_tells_what_it_goes_with(show: Show) -> None:
    line = line_of("def unused_40():")
    page = show().at(f"#legacy/pkg/module.py:{line - 1}")
    page.get_by_role("link", name=f"line {line}").click()
    assert "nothing that is kept refers to function unused_40" in evidence(page)
    assert page.locator("#stripped-pane .l.other").count() == 0


def test_the_address_survives_a_reload(show: Show) -> None:
    line = line_of("def unused_50():")
    page = show().at(f"#legacy/pkg/module.py:{line}")
    for _ in range(2):
        assert chosen(page) == [f"legacy-{line}"]
        box, pane = row(page, "legacy", line).bounding_box(), page.locator("#legacy-pane").bounding_box()
        assert pane["y"] < box["y"] < pane["y"] + pane["height"]
        assert page.title() == f"pkg/module.py:{line} · unbloat: pkg"
        page.reload()


@pytest.mark.parametrize(
    "address", ["#legacy/pkg/nowhere.py:3", "#legacy/pkg/module.py:99999", "#legacy/pkg/module.py:0", "#%E0%A4%A"]
)
def test_an_address_of_nothing_shows_the_overview(address: str, show: Show) -> None:
    page = show().at(address)
    assert page.locator("#overview").is_visible() and page.locator("#source").is_hidden()


def test_the_keyboard_alone(show: Show) -> None:
    page = show().at("#legacy/pkg/module.py:7")
    for key, expected in [("ArrowDown", 8), ("ArrowUp", 7), ("Home", 1), ("ArrowDown", 2)]:
        page.keyboard.press(key)
        assert chosen(page) == [f"legacy-{expected}"]
    changed = line_of("extra = 1 if cfg.flag else 2")
    while chosen(page) != [f"legacy-{changed}"]:
        page.keyboard.press("n")
    page.keyboard.press("ArrowRight")
    assert "Comes from" in evidence(page) and chosen(page)[0].startswith("stripped-")
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == [f"legacy-{changed}"]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "evidence"
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    assert chosen(page) == [f"legacy-{len(LINES) - 1}"]


def test_search(show: Show) -> None:
    page = show().at("")
    page.keyboard.press("/")
    page.keyboard.type("UNUSED_40")
    hits = page.locator(".hit")
    hits.first.wait_for()
    assert "def unused_40():" in hits.first.inner_text() and "reason at pkg/module.py" in hits.last.inner_text()
    assert page.locator("#found-count").inner_text() == f"{hits.count()} found"
    page.keyboard.press("Enter")
    assert chosen(page) == [f"legacy-{line_of('def unused_40():')}"]
    page.keyboard.press("/")
    page.keyboard.type("parts/hel")
    page.locator(".hit", has_text="pkg/parts/helper.py").first.click()
    assert page.evaluate("location.hash") == "#stripped/pkg/parts/helper.py:1"
    page.keyboard.press("/")
    page.keyboard.type("no such thing anywhere")
    page.get_by_text("Nothing found").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#found-panel").is_hidden()


def test_filters_hide_lines_by_fate(show: Show) -> None:
    page = show().at("#legacy/pkg/module.py:1")
    removed = page.locator("#legacy-pane .l.removed")
    assert removed.first.is_visible()
    page.get_by_role("checkbox", name="removed").uncheck()
    assert not removed.first.is_visible()
    page.locator("#legacy-pane .lines").focus()
    page.keyboard.press("End")
    assert row(page, "legacy", int(chosen(page)[0].partition("-")[2])).get_attribute("class") != "l removed"
    page.get_by_role("checkbox", name="removed").check()
    assert removed.first.is_visible()


def test_a_source_is_only_ever_text(show: Show) -> None:
    page = show().at(f"#legacy/pkg/module.py:{next(n for n, line in enumerate(LINES, 1) if 'alert(1)' in line)}")
    assert "</script><script>alert(1)</script><!--" in page.locator("#evidence pre").inner_text()
    assert page.locator("script").count() == 2


PAINTED = "element => { const style = getComputedStyle(element); return [style.color, style.backgroundColor] }"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_in_light_and_dark(theme: str, show: Show) -> None:
    """At least as much as WCAG asks of small text."""
    # Colours that are on their way to others are neither.
    page = show(color_scheme=theme, reduced_motion="reduce").at("#legacy/pkg/module.py:1")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (_luminance(background) < 0.1) == (theme == "dark")
    for kind in ("kept", "changed", "removed", "generated"):
        page.locator(f".l.{kind}").first.click()
        assert _contrast(page.locator("#evidence .fate").evaluate(PAINTED)[0], background) >= 4.5, kind
        for part in (".n", ".s", "code", ".k", ".c", ".t", ".m", ".d"):
            for found in page.locator(f".l.{kind} {part}").all()[:2]:
                own = page.evaluate(
                    "element => getComputedStyle(element.closest('.l')).backgroundColor", found.element_handle()
                )
                color, _ = found.evaluate(PAINTED)
                behind = background if own.startswith("rgba(0, 0, 0, 0") else own
                assert _contrast(color, behind) >= 4.5, (kind, part, color, behind)


def test_the_colours_can_be_chosen(show: Show) -> None:
    page = show(color_scheme="light").at("")
    button = page.locator("#theme")
    assert button.get_attribute("aria-label") == "Colours: as the system has them"
    button.click()
    button.click()
    assert button.get_attribute("aria-label") == "Colours: dark"
    assert _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.1
    page.reload()
    assert _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.1


def test_a_narrow_window_needs_no_sideways_scrolling(show: Show) -> None:
    shown = show(width=400, height=800)
    for address in ("", "#legacy/pkg/module.py:7"):
        page = shown.at(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert row(page, "legacy", 7).is_visible() and page.locator("#evidence h3").is_visible()


def _luminance(color: str) -> float:
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)
