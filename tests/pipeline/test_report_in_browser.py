"""The pages in a real browser: films load and play, nothing is fetched, nothing complains, a phone shows all of it.

Needs Playwright (`make test` brings it) and a Chromium or Chrome of the machine; skipped without.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_report import made_run

from world4rl.report.comparison import build_comparison
from world4rl.report.page import build_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium, chromium-browser or google-chrome on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    runs = [made_run(folder / name) for name in ("run", "other")]
    return {"report": build_report(runs[0]), "comparison": build_comparison(runs, folder / "comparison.html")}


def opened(browser: Any, path: Path, width: int, scheme: str) -> tuple[Any, list[str]]:
    """The page, and what it complained about or tried to fetch."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    context.set_default_timeout(120_000)  # a busy machine
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else complaints.append(r.url))
    page.goto(path.as_uri())
    return page, complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_fits_and_is_quiet(browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    page, complaints = opened(browser, pages[name], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    cut = """() => [...document.querySelectorAll('h1, h2, h3, p, li, td, th')].filter(e => !e.closest('.scroll, pre')
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent.trim())"""
    assert page.evaluate(cut) == []
    squeezed = """() => [...document.querySelectorAll('th')].filter(e => e.textContent.trim().length > 6
        && e.getBoundingClientRect().width < 50).map(e => e.textContent.trim())"""
    assert page.evaluate(squeezed) == [], "one letter under the other"
    small = "[...document.querySelectorAll('p, td, th, li')].filter(e => parseFloat(getComputedStyle(e).fontSize) < 12)"
    assert page.evaluate(f"{small}.length") == 0
    background, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (brightness(background) > brightness(text)) == (scheme == "light")
    assert abs(brightness(background) - brightness(text)) > 150
    assert complaints == []
    page.context.close()


def test_films_load_and_play(browser: Any, pages: dict[str, Path]) -> None:
    page, complaints = opened(browser, pages["report"], 1200, "light")
    page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState === 4)", timeout=120_000)
    films = page.evaluate("[...document.querySelectorAll('video')].map(v => [v.videoWidth, v.duration, !v.error])")
    assert len(films) == 2 and all(width > 100 and seconds > 0.3 and fine for width, seconds, fine in films)
    page.evaluate("document.querySelector('video').scrollIntoView()")
    page.wait_for_function("document.querySelector('video').currentTime > 0", timeout=120_000)
    assert complaints == []
    page.context.close()


def brightness(colour: str) -> float:
    """Mean of `rgb(r, g, b)`, 0 to 255."""
    red, green, blue = colour.removeprefix("rgb(").removesuffix(")").split(",")[:3]
    return (int(red) + int(green) + int(blue)) / 3
