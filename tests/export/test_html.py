"""The viewer's page: whole in itself, and, where Chromium is, right in what it shows."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from kyvo.export.formats import export_scene
from kyvo.export.html import html_text
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TWO = Scene(
    objects=(
        SceneObject(shape="cube", size="large", color="red", material="rubber", location=(1.0, -2.0, 0.7)),
        SceneObject(shape="sphere", size="small", color="green", material="rubber", location=(-1.0, 1.0, 0.35)),
    ),
    camera=clevr_camera(480, 320),
)
# Presses C (the camera's view), chooses the first object, and tells what is then to be seen.
PROBE = """<script>
const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
press("c"); document.querySelectorAll("#list button")[0].click(); press("Escape"); draw();
const report = { size: [canvas.clientWidth, canvas.clientHeight], fault: $("#fault").hidden, places: {}, pixels: {} };
for (const word of words) if (!word.kind) {
  const [x, y] = word.span.style.transform.match(/-?[\\d.]+(?=px)/g).map(Number), pixel = new Uint8Array(4);
  report.places[word.text] = [x, y];
  gl.readPixels(Math.round(x), Math.round(canvas.height - y), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  report.pixels[word.text] = [...pixel];
}
const before = eye.far; press("+"); report.nearer = eye.far < before;
press("l"); report.labels = labels; press("l");
const told = Object.assign(document.createElement("pre"), { id: "report", textContent: JSON.stringify(report) });
document.body.append(told);
</script></body>"""


def test_the_page_fetches_nothing():
    page = html_text(TWO)
    assert not re.search(r"""(?:src|href)\s*=|https?:|url\(|@import|fetch\(|import\(""", page)
    assert "default-src 'none'" in page


def test_words_of_a_scene_cannot_end_its_script():
    item = SceneObject(category="</script><script>alert(1)", location=(0.0, 0.0, 0.0), dimensions=(1.0, 1.0, 1.0))
    page = html_text(Scene(objects=(item,), units="m"))
    assert page.count("<script") == html_text(TWO).count("<script") == 1


def test_an_empty_scene_is_a_page():
    assert '"objects":[]' in html_text(Scene(objects=()))


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.slow
def test_in_a_browser_objects_stand_where_the_scenes_camera_sees_them(tmp_path):
    export_scene(TWO, tmp_path / "two.html")
    page = (tmp_path / "two.html").read_text(encoding="utf-8")
    (tmp_path / "probe.html").write_text(page.replace("</body>", PROBE), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,700", "--virtual-time-budget=2000"]
    command += ["--dump-dom", (tmp_path / "probe.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    found = re.search(r'<pre id="report">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    report = json.loads(found[1])
    assert report["fault"] is True  # hidden
    width, height = report["size"]
    for item, label in zip(TWO.objects, ("large red rubber cube", "small green rubber sphere"), strict=True):
        column, row, _ = TWO.camera.project(np.array([item.location]))[0]
        expected = ((column - 240) * height / 320 + width / 2, row * height / 320)  # the height fixes the view
        np.testing.assert_allclose(report["places"][label], expected, atol=1.0)
    red, green = (report["pixels"][label] for label in report["places"])
    assert red[0] > 1.5 * red[1] and green[1] > 1.2 * green[0]
    assert report["nearer"] is True and report["labels"] is False
