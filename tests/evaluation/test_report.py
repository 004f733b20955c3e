"""The report page: whole, without anything from outside, worst first, with and without pictures."""

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kyvo.errors import FileError
from kyvo.evaluation.gallery import FOUND, MISSED, WRONG, from_above, make_gallery
from kyvo.evaluation.report import fill_page, report_page, write_report
from kyvo.evaluation.results import Figure, Results
from kyvo.scene.files import camera_to_json
from kyvo.scene.schema import clevr_camera


class Page(HTMLParser):
    """What a page refers to, and its articles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.references: list[str] = []
        self.articles: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags[tag] += 1
        self.references += [given[name] for name in ("src", "href", "data", "action") if given.get(name)]
        if tag == "article":
            self.articles.append(given)


def thing(x: float, y: float, **words) -> dict:
    return {"size": "small", "color": "red", "material": "metal", "shape": "cube", "location": [x, y, 0.35], **words}


def scene_item(key: str, score: float) -> dict:
    """Two true objects; one is found 0.1 off, one is missed, and one prediction matches nothing."""
    return {
        "key": key,
        "score": score,
        "optimal": score,
        "by_tau": [score],
        "pairs": [[0, 0, 0.1]],
        "misses": [1],
        "extras": [1],
        "nearest": [[0, 0, 0.1], [1, 1, 0.2]],
        "predicted": [thing(0.1, 0, confidence=0.9), thing(2, 2.2, color="blue", confidence=0.3)],
        "true": [thing(0, 0), thing(2, 2)],
    }


@pytest.fixture
def results() -> Results:
    return Results(
        kind="scenes",
        protocol={"name": "paper", "schema": "clevr", "taus": [0.25], "units": "clevr", "frame": "world"},
        figures=[
            Figure(name="jaccard", value=1 / 3, low=0.3, high=0.4, count=3),
            Figure(name="pose error", value=None),
        ],
        inputs={"truth": {"name": "test <b>", "sha256": "ab"}},
        tables={
            "by tau": [{"tau": 0.25, "jaccard": 1 / 3, "optimal jaccard": 1 / 3}],
            "confusion": {"color": {"words": ["blue", "red"], "counts": [[0, 0], [1, 1]]}},
        },
        items=[scene_item("b", 0.5), scene_item("a", 0.25), scene_item("c", 0.75)],
        excluded=[{"key": "d", "reason": "a true scene that cannot be read"}],
    )


def test_the_page_holds_everything_and_refers_to_nothing_outside(results, tmp_path):
    path = write_report(results, tmp_path / "new")
    assert path == tmp_path / "new" / "report.html" and [entry.name for entry in path.parent.iterdir()] == [path.name]
    text = path.read_text()
    page = Page(text)
    assert page.references and all(reference.startswith("data:") for reference in page.references)
    assert not re.search(r"@import|url\(|<script [^>]*src|fetch\(", text)
    for part in (
        "0.3333",
        "0.3000 to 0.4000",
        "none",
        "taus",
        "a true scene that cannot be read",
        "1 listed as left out",
    ):
        assert part in text
    assert "test &lt;b&gt;" in text and "test <b>" not in text
    plots = [base64.b64decode(data).decode() for data in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)]
    for part in ("tau, CLEVR units", "position error", "expected calibration error", "score of an item", "predicted"):
        assert sum(part in plot for plot in plots) == 1, part


def test_items_come_worst_first_and_the_rest_is_counted(results):
    page = report_page(results, limit=2)
    assert [article["data-key"] for article in Page(page).articles] == ["a", "b"]
    assert "The 2 of 3 items with the lowest score; 1 more are not shown." in page
    assert "more are not shown" not in report_page(results)


def test_from_above_shows_what_was_found_missed_and_made_up(results):
    drawing = from_above(results.items[0], frame="world")
    rings = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="9" fill="none" stroke="(#\w+)"', drawing)
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4" fill="(#\w+)"', drawing)
    assert [ring[2] for ring in rings] == [FOUND, MISSED] and [dot[2] for dot in dots] == [FOUND, WRONG]
    assert drawing.count("<line") == 1
    assert float(rings[1][0]) > float(rings[0][0])  # x to the right
    assert float(rings[1][1]) < float(rings[0][1])  # y upwards


def test_in_camera_frames_depth_points_upwards(results):
    item = {**results.items[0], "true": [thing(0, 0), {**thing(0, 0), "location": [0, 0, 3]}]}
    rings = re.findall(r'cy="([\d.]+)" r="9"', from_above(item, frame="camera"))
    assert float(rings[1]) < float(rings[0])


def test_boxes_are_seen_in_the_cameras_frame_and_their_pairs_have_an_iou(results):
    page = report_page(replace(results, kind="boxes", protocol={"name": "omni3d"}))
    assert "IoU 0.1" in page and "distance 0.1" not in page
    assert "distance 0.1" in report_page(results)


def colors_near(image: np.ndarray, ink: str) -> int:
    """Pixels of about this color."""
    wanted = np.array([int(ink[place : place + 2], 16) for place in (1, 3, 5)])
    return int((np.abs(image.astype(int) - wanted).max(-1) < 40).sum())


@pytest.mark.parametrize("told", [True, False])
def test_pictures_are_marked_where_the_camera_sees_the_objects(results, tmp_path, told):
    Image.new("RGB", (240, 160), "#202020").save(tmp_path / "b.png")
    item = results.items[0] | ({"camera": camera_to_json(clevr_camera(480, 320))} if told else {})
    gallery = make_gallery([item], schema="clevr", frame="world", images=tmp_path, limit=5)
    data = re.search(r"data:image/jpeg;base64,([^\"]+)", gallery.entries[0])[1]
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    for ink in (FOUND, MISSED, WRONG):
        assert colors_near(image, ink) > 40, ink
    assert any("CLEVR's camera without jitter" in note for note in gallery.notes) != told
    camera = clevr_camera(image.shape[1], image.shape[0])
    column, row, _ = camera.project(np.array([(0.1, 0.0, 0.35)]))[0]
    around = image[int(row) - 40 : int(row) + 40, int(column) - 40 : int(column) + 40]
    assert colors_near(around, FOUND) > 40  # the found object's box is around where it is seen


def test_missing_and_broken_pictures_are_counted_and_the_scenes_still_drawn(results, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    page = report_page(results, images=tmp_path)
    assert "3 items have no picture, the first because:" in page and "a.png" in page
    assert Page(page).tags["svg"] == 3 and Page(page).tags["article"] == 3


def test_a_key_does_not_lead_out_of_the_folder_of_pictures(results, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    item = results.items[0] | {"key": "../secret"}
    gallery = make_gallery([item], schema="clevr", frame="world", images=images, limit=5)
    assert "data:image/jpeg" not in gallery.entries[0] and "holds no picture called ../secret" in gallery.notes[0]


def test_results_of_other_kinds_are_shown_as_values(tmp_path):
    answers = Results(
        kind="answers",
        protocol={"name": "paper"},
        figures=[Figure(name="exact match", value=0.5, count=2)],
        tables={"per type": [{"type": "<number>", "count": 2, "accuracy": 0.5}], "by rater": {"anna": 3}},
        items=[
            {"key": "q1", "score": 1.0, "predicted": "3", "true": "3"},
            {"key": "q2", "score": 0.0, "predicted": None, "true": "<i>"},
        ],
    )
    text = write_report(answers, tmp_path).read_text()
    assert [article["data-key"] for article in Page(text).articles] == ["q2", "q1"]
    assert "&lt;number&gt;" in text and "&lt;i&gt;" in text and "anna" in text
    assert Page(text).tags["svg"] == 0
    empty = report_page(replace(answers, items=()))
    assert "The results hold no items." in empty


def test_parts_of_a_page_are_not_filled_a_second_time():
    parts = dict.fromkeys(
        ("TITLE", "SUBTITLE", "FIGURES", "PROTOCOL", "PLOTS", "TABLES", "EXCLUDED", "NOTES", "ITEMS"), ""
    )
    assert "<!--ITEMS-->" in fill_page("report.html", **parts | {"NOTES": "<!--ITEMS-->"})


def test_a_page_that_cannot_be_written_leaves_the_old_one(results, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        write_report(results, taken)
    assert not list(Path(tmp_path).glob("**/.*"))
