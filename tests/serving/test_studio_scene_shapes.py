"""The studio's page of scenes of shapes in a real browser: boxes and points drawn, masks chosen, a scene made.

Pictures of the page are kept in the test's folder.
"""

import re

import numpy as np
import pytest
from PIL import Image
from studio_browser import CHROMIUM, opened_browser, watched_page
from tiny_generators import random, tiny_generator
from tiny_scene_tokens import tiny_scene_model
from tiny_scenes import ENCODER, tiny_flow
from tiny_segmenters import write_tiny_sam

from kyvo.models.slat.load import save_network
from kyvo.pipelines.scene_source import SceneSource
from kyvo.serving.app import create_app
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

pytest.importorskip("gradio")
pytest.importorskip("open3d")
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PATIENCE = 300_000  # ms
COLORS = ((200, 60, 40), (50, 90, 200))
SEED = 7  # of a model that writes objects for the picture
BOXES = ((30, 90, 130, 200), (180, 80, 290, 210))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A picture of two objects with a mask of each, and the flows of one method."""
    found = tmp_path_factory.mktemp("scene")
    picture = np.random.default_rng(0).integers(200, 230, (240, 320, 3)).astype(np.uint8)
    for name, color, (x0, y0, x1, y1) in zip(("chair", "desk"), COLORS, BOXES, strict=True):
        picture[y0:y1, x0:x1] = color
        mask = np.zeros((240, 320), np.uint8)
        mask[y0:y1, x0:x1] = 255
        Image.fromarray(mask).save(found / f"{name}.png")
    Image.fromarray(picture).save(found / "room.png")
    save_network(tiny_flow("scenegen"), found / "flow")
    save_network(random(ENCODER), found / "scene_encoder")
    return found


@pytest.fixture(scope="module")
def page(folder):
    """The page, opened; at the end, no other host may have been asked, and no error be in its console."""
    from kyvo.serving.studio import mount_studio

    model = tiny_kyvo(objects=tiny_generator())
    sam = write_tiny_sam(folder / "sam")
    recognition = tiny_scene_model(seed=SEED).recognition
    source = SceneSource(flows=folder, objects=model.objects, segmenter=sam, recognition=recognition)
    app = create_app(model, name="tiny", scenes=source)
    mount_studio(app)
    own = ("data:", "blob:", "about:")
    with (
        serving(app, patience=1) as url,
        opened_browser(sync_api) as browser,
        watched_page(browser, url, path="/shapes", ready="#make", height=900, patience=PATIENCE, own=own) as opened,
    ):
        yield opened


@pytest.fixture(autouse=True)
def begin(page):
    page.reload()
    page.locator("#method option").nth(3).wait_for(state="attached")


def status(page, words):
    page.locator("#status").get_by_text(re.compile(words)).wait_for()


def at(page, x, y):
    """Where a pixel of the picture is on the page."""
    box = page.locator("#over").bounding_box()
    return box["x"] + x / 320 * box["width"], box["y"] + y / 240 * box["height"]


@pytest.mark.slow
def test_boxes_become_a_scene_which_is_downloaded(page, folder, tmp_path):
    page.locator("#picture").set_input_files(folder / "room.png")
    page.wait_for_function("document.querySelector('#thumb').naturalWidth === 320")
    for x0, y0, x1, y1 in BOXES:
        page.mouse.move(*at(page, x0, y0))
        page.mouse.down()
        page.mouse.move(*at(page, x1, y1))
        page.mouse.up()
    page.mouse.click(*at(page, 160, 20))  # no box
    assert page.locator("#marks li").count() == 2 and page.locator("#over rect").count() == 2
    page.get_by_label("name of object 2").fill("desk")
    page.locator("#make").click()
    status(page, "2 objects in ")
    page.wait_for_function("document.querySelector('#sheet').naturalWidth > 500")
    page.frame_locator("#viewer").locator("canvas").first.wait_for()
    names = [row.split()[0] for row in page.locator("#poses tr").all_inner_texts()[1:]]
    assert names == ["1", "desk"]
    page.screenshot(path=tmp_path / "made.png", full_page=True)
    for name, begins in (("GLB", b"glTF"), ("USD", b"#usda"), ("scene JSON", b"{"), ("sheet", b"\x89PNG")):
        with page.expect_download() as download:
            page.locator("#downloads").get_by_text(name, exact=True).click()
        download.value.save_as(tmp_path / "got")
        assert (tmp_path / "got").read_bytes().startswith(begins)
    page.get_by_role("button", name="Remove").first.click()
    assert page.locator("#over rect").count() == 1


@pytest.mark.slow
def test_points_and_masks_say_where_objects_are(page, folder, tmp_path):
    page.locator("#picture").set_input_files(folder / "room.png")
    page.wait_for_function("document.querySelector('#thumb').naturalWidth === 320")
    page.locator("#source").select_option("points")
    page.mouse.click(*at(page, 80, 150))
    page.mouse.click(*at(page, 230, 150))
    page.keyboard.down("Shift")
    page.mouse.click(*at(page, 250, 190))
    page.keyboard.up("Shift")
    assert page.locator("#marks li").all_inner_texts() == ["1: 1 point\nRemove", "2: 2 points\nRemove"]
    page.locator("#method").select_option("independent")
    page.locator("#make").click()
    status(page, r"objects? in")
    page.screenshot(path=tmp_path / "points.png", full_page=True)
    page.locator("#source").select_option("masks")
    page.locator("#files").set_input_files([folder / "desk.png", folder / "chair.png"])
    page.locator("#make").click()
    status(page, "2 objects in")
    assert page.locator("#poses tr").nth(1).inner_text().startswith("chair")


@pytest.mark.slow
def test_tokens_need_not_be_told_where_objects_are(page, folder):
    page.locator("#picture").set_input_files(folder / "room.png")
    assert "Drag over the picture" in page.locator("#hint").inner_text()
    page.locator("#method").select_option("tokens")
    assert "nothing has to be said" in page.locator("#hint").inner_text()
    page.locator("#make").click()
    status(page, r"objects? in")
    assert page.locator("#poses tr").count() > 1


@pytest.mark.slow
def test_what_does_not_do_is_told(page, folder, tmp_path):
    page.locator("#make").click()
    status(page, "Choose a picture")
    page.locator("#picture").set_input_files(folder / "room.png")
    page.locator("#make").click()
    status(page, "Drag over the picture")
    page.locator("#source").select_option("scene")
    page.locator("#files").set_input_files(folder / "desk.png")
    page.locator("#make").click()
    status(page, "desk.png is no JSON")
    assert page.locator("#method option[value=retrieval]").is_disabled()
    page.screenshot(path=tmp_path / "told.png", full_page=True)
