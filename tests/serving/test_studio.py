"""The studio in a real browser: from a picture to an exported scene, by mouse and by keyboard, asking no other host.

Pictures of the page are kept in the test's folder.
"""

import json
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from kyvo.serving.app import create_app
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PATIENCE = 60_000  # ms


@pytest.fixture(scope="module")
def address():
    from kyvo.serving.studio import mount_studio

    app = create_app(tiny_kyvo(), name="tiny")
    mount_studio(app)
    with serving(app, patience=1) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, address):
    """The page, opened; at the end, no other host may have been asked, and no error be in its console."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    asked, faults = [], []
    opened.on("requestfinished", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(address)
    opened.locator("#recognise").wait_for()
    yield opened
    context.close()
    foreign = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert foreign == [] and faults == []


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "room.png"
    pixels = np.random.default_rng(0).integers(256, size=(64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def status(page, words):
    page.locator("#status").get_by_text(re.compile(words)).wait_for()


def recognise(page, picture):
    page.locator("#picture input[type=file]").set_input_files(picture)
    page.locator("#picture img").wait_for()
    page.locator("#recognise").click()
    status(page, "objects? recognised")


def open_scene(page, path):
    with page.expect_file_chooser() as chooser:
        page.locator("#open").click()
    chooser.value.set_files(path)


def say(page, words):
    page.locator("#text textarea").fill(words)
    page.keyboard.press("Enter")


def test_a_picture_is_recognised_changed_asked_about_and_exported(page, picture, tmp_path):
    recognise(page, picture)
    page.locator("#marked img").wait_for()
    page.locator("#model canvas").wait_for()
    page.screenshot(path=tmp_path / "recognised.png")

    say(page, "Remove the red cube.")
    status(page, "Changed")
    page.locator("#before img").wait_for()
    assert page.locator("#diff li").count() >= 1
    assert page.locator("#text textarea").input_value() == ""
    page.screenshot(path=tmp_path / "changed.png")

    say(page, "How many cubes are there?")
    status(page, "Answered")
    assert "How many cubes are there?" in page.locator("#chat").inner_text()
    page.screenshot(path=tmp_path / "answered.png")

    page.get_by_role("tab", name="JSON").click()
    page.locator("#json .cm-content").wait_for()
    page.screenshot(path=tmp_path / "json.png")
    for name, begins in (("json", b"{"), ("glb", b"glTF"), ("png", b"\x89PNG")):
        with page.expect_download() as download:
            page.locator(f"#get-{name}").click()
        assert download.value.suggested_filename.endswith(f".{name}")
        download.value.save_as(tmp_path / f"got.{name}")
        assert (tmp_path / f"got.{name}").read_bytes().startswith(begins)
    assert json.loads((tmp_path / "got.json").read_text())["format"] == "kyvo-scene"


def test_a_change_is_taken_back_and_brought_back(page, picture):
    recognise(page, picture)
    say(page, "Remove the red cube.")
    status(page, "Changed")
    page.locator("#undo").click()
    status(page, "Taken back: Remove the red cube")
    page.locator("#redo").click()
    status(page, "Brought back: Remove the red cube")
    page.locator("#render").click()
    status(page, "Drawn")


def test_a_sample_is_shown_and_recognised(page):
    page.locator("#samples button").first.click()
    page.wait_for_function("document.querySelector('#picture img')?.naturalWidth > 0")
    page.locator("#recognise").click()
    status(page, "objects? recognised")


def test_a_scene_file_is_opened_and_drawn(page, scene, tmp_path):
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(scene))
    open_scene(page, path)
    status(page, "2 objects read")
    page.locator("#marked img").wait_for()


def test_errors_are_told_in_words(page, tmp_path):
    page.locator("#recognise").click()
    status(page, "There is no picture yet")
    (tmp_path / "scene.json").write_text('{"objects": [}')
    open_scene(page, tmp_path / "scene.json")
    status(page, "not JSON")
    say(page, "Remove the red cube.")
    status(page, "There is no scene yet")
    assert page.locator("#text textarea").input_value() == "Remove the red cube."
    page.screenshot(path=tmp_path / "errors.png")


def test_the_whole_way_can_be_gone_by_keyboard(page, picture):
    page.locator("#picture input[type=file]").set_input_files(picture)
    page.locator("#picture img").wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "recognise":
            break
    page.keyboard.press("Enter")
    status(page, "objects? recognised")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.type("How many cubes are there?")
    page.keyboard.press("Enter")
    status(page, "Answered")


def test_the_page_reads_no_file_of_the_servers(address):
    import httpx

    for path in ("/etc/passwd", __file__):
        answer = httpx.get(f"{address}/gradio_api/file={path}", follow_redirects=True)
        assert answer.status_code in (403, 404)


def test_it_opens_soon(browser, address, record_property):
    opened = browser.new_page()
    start = time.perf_counter()
    opened.goto(address)
    opened.locator("#recognise").wait_for(timeout=PATIENCE)
    seconds = time.perf_counter() - start
    opened.close()
    record_property("seconds", seconds)
    assert seconds < 30  # 3 s on an idle machine; tests may meet a busy one
