"""The studio's page of objects in a real browser: made, changed, cancelled, downloaded; no other host is asked.

Pictures of the page are kept in the test's folder.
"""

import re
import threading

import numpy as np
import pytest
from PIL import Image
from studio_browser import CHROMIUM, opened_browser, watched_page
from tiny_generators import tiny_generator
from tiny_shapes import write_box

from kyvo.serving.app import create_app
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PATIENCE = 300_000  # ms; a mesh is read in a process of its own, which starts slowly on a busy machine


@pytest.fixture(scope="module")
def address():
    from kyvo.serving.studio import mount_studio

    app = create_app(tiny_kyvo(objects=tiny_generator()), name="tiny")
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
        browser,
        address,
        path="/objects",
        ready="#make",
        height=900,
        patience=PATIENCE,
        own=("data:", "blob:", "about:"),
    ) as opened:
        yield opened


def status(page, words):
    page.locator("#status").get_by_text(re.compile(words)).wait_for()


@pytest.mark.slow
def test_a_text_becomes_objects_which_are_changed_and_downloaded(page, tmp_path):
    page.locator("#text").fill("a red chair of gold")
    page.locator("#count").fill("2")
    page.locator("#text").press("Enter")
    status(page, "2 objects in .*never seen: of, gold")
    page.wait_for_function("document.querySelector('#sheet').naturalWidth > 500")
    page.frame_locator("#viewer").locator("canvas").first.wait_for()
    page.locator("#samples button").nth(1).click()
    page.screenshot(path=tmp_path / "made.png", full_page=True)
    for name, begins in (("GLB", b"glTF"), ("latent", b"PK"), ("sheet", b"\x89PNG")):
        with page.expect_download() as download:
            page.locator("#downloads").get_by_text(name, exact=True).click()
        download.value.save_as(tmp_path / "got")
        assert (tmp_path / "got").read_bytes().startswith(begins)

    page.locator("#again").click()
    page.locator("#changed-name").get_by_text("object 2 of seed 0").wait_for()
    page.locator("#text").fill("a blue chair")
    page.locator("#what").select_option("region")
    page.locator("#low-z").fill("-0.5")
    page.locator("#high-x").fill("0")
    page.screenshot(path=tmp_path / "region.png", full_page=True)
    page.locator("#make").click()
    status(page, "1 object in")
    page.locator("#forget").click()
    assert page.locator("#change").is_hidden()


@pytest.mark.slow
def test_a_mesh_is_varied_by_a_picture(page, tmp_path):
    write_box(tmp_path / "box.glb")
    pixels = np.full((64, 64, 3), 255, dtype=np.uint8)
    pixels[16:48, 16:48] = (200, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "box.png")
    page.locator("#object").set_input_files(tmp_path / "box.glb")
    page.locator("#picture").set_input_files(tmp_path / "box.png")
    page.locator("#make").click()
    status(page, "1 object in")


@pytest.mark.slow
def test_what_does_not_do_is_told_and_left_as_it_was(page, tmp_path):
    page.locator("#make").click()
    status(page, "Say what to make, or give a picture")
    (tmp_path / "false.png").write_text("no picture")
    page.locator("#picture").set_input_files(tmp_path / "false.png")
    page.locator("#make").click()
    status(page, "not a picture of a kind that is read here")
    (tmp_path / "mesh.obj").write_text("v 0 0 0")
    page.locator("#object").set_input_files(tmp_path / "mesh.obj")
    status(page, "mesh.obj is no .glb, .ply or .npz file")
    page.locator("#picture").set_input_files([])
    page.locator("#text").fill("qwertz")
    page.locator("#make").click()
    status(page, "never seen|knows none")
    assert page.locator("#text").input_value() == "qwertz"
    page.screenshot(path=tmp_path / "told.png", full_page=True)


@pytest.mark.slow
def test_a_job_is_cancelled(page, monkeypatch):
    import kyvo.serving.object_jobs as object_jobs

    ended = threading.Event()

    def wait(request, found, generator, run, job):
        try:
            while not run.stops():
                ended.wait(0.02)
        finally:
            ended.set()

    monkeypatch.setattr(object_jobs, "make_objects", wait)
    page.locator("#text").fill("a chair")
    page.locator("#make").click()
    status(page, "Begins")
    page.locator("#cancel").click()
    status(page, "Cancelled")
    assert ended.wait(10)
    sync_api.expect(page.locator("#make")).to_be_enabled()


@pytest.mark.slow
def test_the_two_pages_lead_to_one_another(page, address):
    page.get_by_role("link", name="Scenes", exact=True).click()
    page.locator("#recognise").wait_for()
    page.get_by_role("link", name="Objects", exact=True).click()
    page.locator("#make").wait_for()
