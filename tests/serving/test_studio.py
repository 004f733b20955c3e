"""The studio in a real browser: from a picture to an exported scene, by mouse and by keyboard, asking no other host.

Pictures of the page are kept in the test's folder.
"""

import json
import re
import time

import numpy as np
import pytest
from PIL import Image
from studio_browser import CHROMIUM, opened_browser, watched_page

from kyvo.serving.app import create_app
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PATIENCE = 60_000  # ms
RECOGNISED = "objects? recognised|No object was found"  # a tiny random model finds what it finds


@pytest.fixture(scope="module")
def address():
    from kyvo.serving.studio import mount_studio

    app = create_app(tiny_kyvo(), name="tiny")
    mount_studio(app)
    with serving(app, patience=1) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with opened_browser(sync_api) as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    """The page, opened; at the end, no other host may have been asked, and no error be in its console."""
    with watched_page(
        browser, address, ready="#recognise", height=1000, patience=PATIENCE, own=("data:", "blob:")
    ) as opened:
        yield opened


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
    status(page, RECOGNISED)


def open_scene(page, path):
    with page.expect_file_chooser() as chooser:
        page.locator("#open").click()
    chooser.value.set_files(path)


def say(page, words):
    page.locator("#text textarea").fill(words)
    page.keyboard.press("Enter")


@pytest.fixture
def opened(page, scene, tmp_path):
    """The page with a scene: a small cyan cube, and a large blue one to the right of it."""
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(scene))
    open_scene(page, path)
    status(page, "2 objects read")
    return page


def chat(page, words):
    page.locator("#chat").get_by_text(words).first.wait_for()


@pytest.mark.slow
def test_a_picture_is_recognised(page, picture, tmp_path):
    recognise(page, picture)
    page.locator("#marked img").wait_for()
    page.locator("#model canvas").wait_for()
    page.screenshot(path=tmp_path / "recognised.png")


@pytest.mark.slow
def test_a_scene_is_changed_asked_about_and_exported(opened, tmp_path):
    page = opened
    page.locator("#marked img").wait_for()
    say(page, "Remove the cyan cube.")
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


@pytest.mark.slow
def test_a_change_is_taken_back_and_brought_back(opened):
    page = opened
    say(page, "Remove the cyan cube.")
    status(page, "Changed")
    page.locator("#undo").click()
    status(page, "Taken back: Remove the cyan cube")
    assert page.locator("#chat del").count() == 2
    page.locator("#redo").click()
    status(page, "Brought back: Remove the cyan cube")
    assert page.locator("#chat del").count() == 0
    page.locator("#render").click()
    status(page, "Drawn")
    assert page.locator("#chat del").count() == 0


@pytest.mark.slow
def test_what_was_taken_back_stays_struck_through(opened):
    page = opened
    say(page, "Remove the cyan cube.")
    status(page, "Changed")
    page.locator("#undo").click()
    status(page, "Taken back")
    for act in (lambda: say(page, "Paint the cyan cube red."), page.locator("#render").click):
        act()
        status(page, "Changed|Drawn")
        assert page.locator("#chat del").count() == 2


REPLIES = ["changed: color of small cyan metal cube, cyan to red", "1", "removed: large blue metal cube"]


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0, 1000])  # ms between the texts
def test_texts_sent_and_typed_while_it_works_are_kept(opened, pause):
    page = opened
    text = page.locator("#text textarea")
    for words in ("Paint the cyan cube red.", "How many red cubes are there?", "Remove the blue cube."):
        say(page, words)
        sync_api.expect(text).to_have_value("")
        page.wait_for_timeout(pause)
    text.fill("half typed")
    chat(page, REPLIES[-1])
    said = page.locator("#chat").inner_text()
    assert [line for line in said.splitlines() if line in REPLIES] == REPLIES
    assert text.input_value() == "half typed"


@pytest.mark.slow
def test_clicks_and_texts_come_in_the_order_in_which_they_were_made(opened):
    page = opened
    say(page, "Paint the cyan cube red.")
    page.locator("#undo").click()
    page.locator("#text textarea").fill("How many cyan cubes are there?")
    page.locator("#send").click()
    page.locator("#redo").click()
    page.locator("#undo").click()
    say(page, "Remove the cyan cube.")
    chat(page, "removed: small cyan metal cube")
    said = page.locator("#chat").inner_text().splitlines()
    assert "1" in said[said.index("How many cyan cubes are there?") :]


@pytest.mark.slow
def test_a_text_that_was_not_taken_does_not_wipe_one_that_is_typed(page):
    text = page.locator("#text textarea")
    say(page, "Remove the red cube.")
    text.fill("half typed")
    status(page, "There is no scene yet")
    page.wait_for_timeout(500)
    assert text.input_value() == "half typed"


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["2", "the left one"])
def test_an_ambiguous_text_asks_back_and_takes_the_answer(opened, answer):
    page = opened
    say(page, "Remove the cube.")
    status(page, "Which one do you mean")
    chat(page, re.compile("1. the .*2. the"))
    say(page, answer)
    status(page, "Changed")
    chat(page, re.compile("removed: "))


@pytest.mark.slow
def test_a_refused_text_leaves_the_scene(opened):
    page = opened
    say(page, "Remove the dog.")
    status(page, "did not work")
    chat(page, re.compile("'dog' in 'Remove the dog.'"))
    say(page, "How many objects are there?")
    status(page, "Answered")
    assert "fault" not in page.locator("#status").get_attribute("class")


@pytest.mark.slow
def test_the_text_and_undo_are_seen_without_scrolling(opened):
    opened.set_viewport_size({"width": 1440, "height": 757})
    for part in ("#text", "#send", "#undo", "#status"):
        box = opened.locator(part).bounding_box()
        assert box["y"] + box["height"] < 757


@pytest.mark.slow
def test_a_sample_is_shown_and_recognised(page):
    page.locator("#samples button").first.click()
    page.wait_for_function("document.querySelector('#picture img')?.naturalWidth > 0")
    page.locator("#recognise").click()
    status(page, RECOGNISED)


@pytest.mark.slow
def test_a_text_file_named_as_a_picture_is_refused_in_words(page, scene, tmp_path):
    (tmp_path / "false.png").write_text("no picture")
    (tmp_path / "scene.json").write_text(json.dumps(scene))
    page.locator("#picture input[type=file]").set_input_files(tmp_path / "false.png")
    page.locator("#picture img").wait_for()
    page.locator("#recognise").click()
    status(page, "not a picture of a kind that is read here")
    open_scene(page, tmp_path / "scene.json")  # which does not need the picture
    status(page, "2 objects read")
    page.locator("#marked img").wait_for()


@pytest.mark.slow
def test_errors_are_told_in_words(page, tmp_path):
    page.locator("#recognise").click()
    status(page, "There is no picture yet")
    (tmp_path / "scene.json").write_text('{"objects": [}')
    open_scene(page, tmp_path / "scene.json")
    status(page, "not JSON")
    say(page, "Remove the red cube.")
    status(page, "There is no scene yet")
    sync_api.expect(page.locator("#text textarea")).to_have_value("Remove the red cube.")
    page.screenshot(path=tmp_path / "errors.png")


@pytest.mark.slow
def test_the_whole_way_can_be_gone_by_keyboard(page, picture):
    page.locator("#picture input[type=file]").set_input_files(picture)
    page.locator("#picture img").wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "recognise":
            break
    page.keyboard.press("Enter")
    status(page, RECOGNISED)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.type("How many cubes are there?")
    page.keyboard.press("Enter")
    status(page, "Answered")


@pytest.mark.slow
def test_the_page_reads_no_file_of_the_servers(address):
    import httpx

    for path in ("/etc/passwd", __file__):
        answer = httpx.get(f"{address}/gradio_api/file={path}", follow_redirects=True)
        assert answer.status_code in (403, 404)


@pytest.mark.slow
def test_it_opens_soon(browser, address, record_property):
    opened = browser.new_page()
    start = time.perf_counter()
    opened.goto(address)
    opened.locator("#recognise").wait_for(timeout=PATIENCE)
    seconds = time.perf_counter() - start
    opened.close()
    record_property("seconds", seconds)
    assert seconds < 30  # 3 s on an idle machine; tests may meet a busy one
