"""The page in a real browser: headless Chromium from the system, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

TABS = ("Predictions", "Matrix", "Forgotten", "Retrieval", "Run")


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    """The browser. `.ci/run` installs it and fails without; elsewhere its tests skip where it is absent."""
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[dev]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, app_page) -> Iterator:
    """The page, opened; at the end, nothing may have gone wrong in it, and nothing may have been asked elsewhere."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(40_000)
    complaints: list[str] = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda answer: answer.status >= 400 and complaints.append(f"{answer.status} {answer.url}"))
    own = (app_page.url, app_page.url.replace("127.0.0.1", "localhost"), "data:", "blob:")
    page.on("request", lambda request: request.url.startswith(own) or complaints.append(f"asked for {request.url}"))
    page.goto(app_page.url)
    page.get_by_role("tab", name="Predictions").wait_for()
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def learnt(app_page, app_run: Path) -> tuple[Path, str]:
    """A test image that the first task made right and the second wrong again, and its label."""
    bench = app_page.bench
    run = bench.runs["finetuned"]
    steps = bench.change("finetuned@0", "finetuned@1", run, "warm")
    while True:
        try:
            next(steps)
        except StopIteration as end:
            change = end.value
            break
    row = int(change.rows("learnt")[0])
    return sorted((app_run.parent / "warm" / "test").glob("*/*.png"))[row], ["red", "green", "blue"][change.truth[row]]


def choose(page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def test_every_tab_opens(page):
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.get_by_role("tab", name=name, selected=True).wait_for()
    page.get_by_role("tab", name="Matrix").click()
    page.locator("#matrix .tile").nth(3).wait_for()
    assert page.locator("#matrix table.matrix").first.locator("tbody tr").count() == 3
    cell = page.locator("#matrix table.matrix td.trained").first
    cell.hover()
    assert "against zero-shot" in page.locator(".tip.shown").inner_text()


def test_an_upload_gives_predictions_of_every_state_and_shows_the_flip(page, learnt):
    picture, label = learnt
    choose(page, "Labels from", "warm")
    page.locator("#picture input[type=file]").set_input_files(str(picture))
    page.locator("#predictions .state").nth(2).wait_for()
    assert page.locator("#predictions .state").count() == 3
    choose(page, "True label (optional)", label)
    page.locator("#predictions .state.learnt").wait_for()
    assert page.locator("#predictions .mark.learnt").count() == 1
    assert "learnt with 1 warm" in page.locator("#predictions .summary").inner_text()
    page.locator("#pair .state").nth(1).wait_for()


def test_an_example_is_picked(page):
    page.locator("#examples button.thumbnail-item").nth(1).click()
    page.locator("#predictions .states .badge").first.wait_for()
    assert page.get_by_label("True label (optional)").input_value() == "green"


def test_an_upload_that_is_no_image_is_told(page, tmp_path: Path):
    (tmp_path / "broken.png").write_text("no image")
    page.locator("#picture input[type=file]").set_input_files(str(tmp_path / "broken.png"))
    assert "not a readable image" in page.locator("#predictions .notice.error").inner_text()


def test_forgotten_images_and_their_names(page):
    page.get_by_role("tab", name="Forgotten").click()
    page.get_by_role("button", name="Find").click()
    page.locator("#forgotten figure").first.wait_for()
    assert page.locator("#forgotten figure img").first.evaluate("image => image.naturalWidth") > 0
    choose(page, "Test images of", "cold")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("Class by class").wait_for()
    page.locator("#forgotten th", has_text="<b>red").first.wait_for()


def test_search(page):
    page.get_by_role("tab", name="Retrieval").click()
    page.get_by_label("Text", exact=True).fill("a red circle")
    page.get_by_role("button", name="Search").click()
    page.locator("#retrieval figure").nth(15).wait_for()


def test_run_and_downloads(page):
    page.get_by_role("tab", name="Run").click()
    page.locator("#card h2").first.wait_for()
    page.get_by_role("tab", name="Matrix").click()
    with page.expect_download() as download:
        page.locator("#download-csv").click()
    assert "against_zero_shot" in Path(download.value.path()).read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(chromium, app_page, scheme: str):
    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme, has_touch=True)
    page = context.new_page()
    page.goto(app_page.url)
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 18, 24)"
    assert dark == (scheme == "dark")
    context.close()
