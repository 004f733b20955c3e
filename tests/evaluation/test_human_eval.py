"""Blind ranking: the study, what a rating may be, the figures, and the page through real HTTP requests."""

import http.client
import io
import json
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.errors import ConfigError
from kyvo.evaluation.human_eval import (
    Rating,
    Study,
    competition_ranks,
    human_eval_results,
    open_study,
    read_rating,
    save_rating,
)
from kyvo.evaluation.human_eval_server import make_server
from kyvo.evaluation.results import load_results

SHADES = {"truth": 200, "alpha": 100, "beta": 50}  # so that a picture tells whose it is


def write_pictures(folder: Path, name: str, stems: list[str]) -> Path:
    place = folder / name
    place.mkdir()
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", name)
    for stem in stems:
        Image.new("RGB", (8, 6), (SHADES[name],) * 3).save(place / f"{stem}.png", pnginfo=told)
    return place


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    stems = [f"scene{index}" for index in range(6)]
    return {name: write_pictures(tmp_path, name, stems) for name in SHADES}


@pytest.fixture
def study(folders, tmp_path) -> Study:
    models = {name: folders[name] for name in ("alpha", "beta")}
    return open_study(tmp_path / "study", truth=folders["truth"], models=models, count=4, seed=3)


@pytest.fixture
def server(study, tmp_path):
    running = make_server(tmp_path / "study", study)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def ask(server, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=given_headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, dict(answer.headers)


def rate(server, **data) -> tuple[int, dict]:
    status, content, _ = ask(server, "POST", "/rating", json.dumps(data).encode(), Content_Type="application/json")
    return status, json.loads(content)


def test_a_study_is_gone_on_with_and_another_is_not_mixed_in(study, folders, tmp_path):
    assert open_study(tmp_path / "study") == study
    models = {name: folders[name] for name in ("alpha", "beta")}
    assert open_study(tmp_path / "study", truth=folders["truth"], models=models, count=4, seed=3) == study
    with pytest.raises(ConfigError, match=r"a study of other files, models or another seed \(items 4, seed 3"):
        open_study(tmp_path / "study", truth=folders["truth"], models=models, count=4, seed=4)
    Image.new("RGB", (8, 6)).save(folders["beta"] / f"{study.items[0]}.png")
    with pytest.raises(ConfigError, match="have changed since it began"):
        open_study(tmp_path / "study")
    with pytest.raises(ConfigError, match="holds no study yet; name the truth's folder"):
        open_study(tmp_path / "nothing")


def test_what_a_model_lacks_or_cannot_be_shown_is_left_out_and_listed(folders, tmp_path):
    (folders["alpha"] / "scene1.png").unlink()
    (folders["beta"] / "scene2.png").write_bytes(b"no picture")
    study = open_study(
        tmp_path / "new", truth=folders["truth"], models={"alpha": folders["alpha"], "beta": folders["beta"]}
    )
    assert set(study.items) == {"scene0", "scene3", "scene4", "scene5"}
    reasons = {row["key"]: row["reason"] for row in study.excluded}
    assert reasons["scene1"] == "no file of this stem: alpha" and "scene2.png" in reasons["scene2"]


def test_the_order_is_fixed_for_a_person_and_an_item_and_both_orders_occur(study):
    orders = {study.order("anna", item) for item in study.items} | {study.order(f"r{i}", "scene0") for i in range(20)}
    assert orders == {("alpha", "beta"), ("beta", "alpha")}
    assert study.order("anna", study.items[0]) == study.order("anna", study.items[0])


def test_ratings_are_kept_by_model_and_a_later_one_replaces_the_earlier(study, tmp_path):
    folder, item = tmp_path / "study", study.items[0]
    assert save_rating(folder, study, "anna", item, Rating(scores=(1, 0), ranks=(1, 2))) == 1
    assert save_rating(folder, study, "anna", item, Rating(scores=(0, 1), ranks=(2, 1))) == 1
    written = json.loads((folder / "ratings" / "anna.json").read_text())["ratings"]
    first, second = study.order("anna", item)
    assert written == {
        item: {"scores": {first: 0, second: 1}, "ranks": {first: 2, second: 1}, "shown": [first, second]}
    }
    assert not list((folder / "ratings").glob(".*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1]}, r"scores is \[1\]; a list of 2 is needed"),
        ({"scores": [1, 2]}, r"scores\[1\] is 2; a whole number 0 to 1"),
        ({"scores": [1, True]}, r"scores\[1\] is True"),
        ({"ranks": [0, 1]}, r"ranks\[0\] is 0; a whole number 1 to 2"),
        ({"ranks": [1.0, 2]}, r"ranks\[0\] is 1.0"),
        ({"ranks": None}, "ranks is None"),
        ({"item": 4}, "item is 4; a number from 0 to 3"),
        ({"item": True}, "item is True"),
        ({"rater": "../study"}, "rater is '../study'; 1 to 40 of"),
        ({"rater": "Anna"}, "rater is 'Anna'"),
        ({"more": 1}, "and nothing else"),
    ],
)
def test_a_malformed_rating_is_refused_with_the_reason(study, change, message):
    good = {"rater": "anna", "item": 0, "scores": [1, 0], "ranks": [1, 2]}
    assert read_rating(good, study)[2] == Rating(scores=(1, 0), ranks=(1, 2))
    with pytest.raises(ConfigError, match=message):
        read_rating(good | change, study)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_ranks_keep_the_order_begin_at_one_and_do_not_depend_on_how_ties_are_written(given_ranks):
    ranks = competition_ranks(given_ranks)
    assert min(ranks) == 1 and competition_ranks(ranks) == ranks
    dense = [sorted(set(given_ranks)).index(rank) + 1 for rank in given_ranks]
    assert competition_ranks(dense) == ranks
    for (one, other), (ours, theirs) in zip(pairwise(given_ranks), pairwise(ranks), strict=True):
        assert (one < other) == (ours < theirs) and (one == other) == (ours == theirs)


def rate_by_name(study: Study, folder: Path, rater: str, item: str, scores: dict, ranks: dict) -> None:
    order = study.order(rater, item)
    shown = Rating(scores=tuple(scores[name] for name in order), ranks=tuple(ranks[name] for name in order))
    save_rating(folder, study, rater, item, shown)


def test_the_figures_are_those_computed_by_hand(study, tmp_path):
    folder = tmp_path / "study"
    a, b = study.items[:2]
    rate_by_name(study, folder, "anna", a, {"alpha": 1, "beta": 0}, {"alpha": 1, "beta": 2})
    rate_by_name(study, folder, "bert", a, {"alpha": 1, "beta": 1}, {"alpha": 1, "beta": 1})
    rate_by_name(study, folder, "anna", b, {"alpha": 0, "beta": 0}, {"alpha": 2, "beta": 1})
    results = human_eval_results(folder)
    value = {figure.name: figure.value for figure in results.figures}
    assert value["mean rank: alpha"] == pytest.approx((1 + 1 + 2) / 3)
    assert value["mean rank: beta"] == pytest.approx((2 + 1 + 1) / 3)
    assert value["winning rate: alpha"] == pytest.approx(2 / 3)
    assert value["winning rate: beta"] == pytest.approx(2 / 3)
    assert value["mean score: alpha"] == pytest.approx(2 / 3)
    assert value["mean score: beta"] == pytest.approx(1 / 3)
    rank = results.figure("mean rank: alpha")
    assert (rank.low, rank.high, rank.count) == (1.0, 2.0, 2)  # of two items, either alone may be drawn
    before = results.tables["share of ratings that rank the row's model before the column's"]
    assert before["alpha"]["beta"] == pytest.approx(1 / 3) and before["beta"]["alpha"] == pytest.approx(1 / 3)
    assert results.tables["ratings by rater"] == {"anna": 2, "bert": 1}


def test_a_damaged_or_foreign_file_of_ratings_is_listed_and_the_others_count(study, tmp_path):
    folder = tmp_path / "study"
    with pytest.raises(ConfigError, match="holds no ratings yet"):
        human_eval_results(folder)
    rate_by_name(study, folder, "anna", study.items[0], {"alpha": 1, "beta": 0}, {"alpha": 1, "beta": 2})
    data = json.loads((folder / "ratings" / "anna.json").read_text())
    (folder / "ratings" / "bert.json").write_text(json.dumps(data | {"study": "another"}))
    (folder / "ratings" / "cleo.json").write_text("{")
    data["ratings"][study.items[0]]["ranks"] = {"alpha": 1}
    (folder / "ratings" / "dora.json").write_text(json.dumps(data))
    results = human_eval_results(folder)
    assert results.tables["ratings by rater"] == {"anna": 1}
    reasons = {row["key"]: row["reason"] for row in results.excluded}
    assert "not the ratings of this study" in reasons["bert.json"]
    assert "not a JSON file" in reasons["cleo.json"]
    assert "ranks must be given for alpha, beta" in reasons["dora.json"]


def test_what_the_server_sends_names_no_model(server, study):
    sent = [ask(server, "GET", "/"), ask(server, "GET", "/state?rater=anna")]
    for item in range(len(study.items)):
        shades = []
        for place in ("truth", "0", "1"):
            answer = ask(server, "GET", f"/picture?rater=anna&item={item}&place={place}")
            sent.append(answer)
            with Image.open(io.BytesIO(answer[1])) as picture:
                shades.append(np.asarray(picture).max())
        names = ("truth", *study.order("anna", study.items[item]))
        assert shades == [SHADES[name] for name in names]
    for status, content, headers in sent:
        assert status == 200 and headers["Cache-Control"] == "no-store"
        assert not any(word in content + str(headers).encode() for word in (b"alpha", b"beta", b"scene0", b"study"))


def test_a_rating_through_http_is_stored_and_comes_back_as_it_was_shown(server, study, tmp_path):
    assert rate(server, rater="anna", item=2, scores=[1, 0], ranks=[1, 2]) == (200, {"done": 1})
    state = json.loads(ask(server, "GET", "/state?rater=anna")[1])
    assert state["items"] == 4 and state["pictures"] == 2
    assert state["given"] == [None, None, {"scores": [1, 0], "ranks": [1, 2]}, None]
    first = study.order("anna", study.items[2])[0]
    assert human_eval_results(tmp_path / "study").figure(f"mean score: {first}").value == 1.0


def test_people_who_rate_at_once_lose_nothing(server, tmp_path):
    def work(rater: str) -> None:
        for item in range(4):
            assert rate(server, rater=rater, item=item, scores=[1, 1], ranks=[1, 1])[0] == 200

    threads = [threading.Thread(target=work, args=(name,)) for name in ("anna", "anna", "bert")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert human_eval_results(tmp_path / "study").tables["ratings by rater"] == {"anna": 4, "bert": 4}


def test_requests_that_do_not_belong_are_refused_with_the_reason(server):
    status, answer = rate(server, rater="anna", item=0, scores=[1, 7], ranks=[1, 2])
    assert status == 400 and "scores[1] is 7" in answer["error"]
    kind = {"Content_Type": "application/json"}
    assert ask(server, "POST", "/rating", b"{", **kind)[0] == 400
    assert ask(server, "POST", "/rating", b"[" * 20_000, **kind)[0] == 400
    assert ask(server, "POST", "/rating", b"{}", Content_Type="text/plain")[0] == 415
    status, content, _ = ask(server, "POST", "/rating", b" " * (64 * 1024 + 1), **kind)
    assert status == 413 and b"at most 65536" in content
    assert ask(server, "GET", "/study.json")[0] == 404
    assert ask(server, "GET", "/picture?rater=anna&item=4&place=0")[0] == 404
    assert ask(server, "GET", "/picture?rater=anna&item=0&place=../x")[0] == 404
    assert ask(server, "GET", "/state?rater=..%2Fstudy")[0] == 400
    assert ask(server, "GET", "/", Host="elsewhere.example")[0] == 403
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.slow
def test_meshes_are_shown_as_four_views_and_a_smaller_one_looks_smaller(tmp_path):
    pytest.importorskip("open3d", exc_type=ImportError)
    from kyvo.evaluation.human_eval_pictures import mesh_views

    for name, side in (("truth", 1.0), ("small", 0.5)):
        trimesh.creation.box((side, side, side)).export(tmp_path / f"{name}.glb")
    truth, small = (mesh_views(tmp_path / f"{name}.glb", tmp_path / "truth.glb") for name in ("truth", "small"))
    assert truth.shape == (512, 512, 3) and truth.dtype == np.uint8
    again = mesh_views(tmp_path / "truth.glb", tmp_path / "truth.glb")
    assert (truth == again).all() and (truth != small).any(-1).mean() > 0.02


def test_a_mesh_stands_on_the_floor_and_is_seen_down_to_its_foot(tmp_path):
    pytest.importorskip("open3d", exc_type=ImportError)
    from kyvo.evaluation.human_eval_pictures import mesh_views

    halves = []
    for height, color in ((0.5, (255, 0, 0, 255)), (-0.5, (0, 0, 255, 255))):
        half = trimesh.creation.box((1, 1, 1))
        half.apply_translation((0, height, 0))  # y is up in the file
        half.visual = trimesh.visual.ColorVisuals(half, face_colors=np.tile(color, (len(half.faces), 1)))
        halves.append(half)
    trimesh.Scene(halves).export(tmp_path / "two.glb")
    views = mesh_views(tmp_path / "two.glb", tmp_path / "two.glb").astype(int)
    red, blue = ((views[..., ours] > 2 * views[..., other] + 30).sum() for ours, other in ((0, 2), (2, 0)))
    assert blue > 0.3 * red > 1000


def test_the_command_reports_and_says_what_it_needs(study, tmp_path):
    folder = tmp_path / "study"
    rate_by_name(study, folder, "anna", study.items[0], {"alpha": 1, "beta": 0}, {"alpha": 1, "beta": 2})
    done = CliRunner().invoke(app, ["human-eval", "report", str(folder), "--out", str(tmp_path / "human_eval.json")])
    assert done.exit_code == 0, done.output
    assert "1 ratings of 1 items by 1 people" in done.output and "alpha" in done.output
    assert load_results(tmp_path / "human_eval.json").figure("mean rank: beta").value == 2
    wrong = CliRunner().invoke(app, ["human-eval", "serve", str(folder), "--truth", str(tmp_path)])
    assert wrong.exit_code == 2 and "--truth and --model go together" in wrong.output
    wrong = CliRunner().invoke(app, ["human-eval", "serve", str(folder), "--truth", str(tmp_path), "--model", "alpha"])
    assert wrong.exit_code == 2 and "NAME=FOLDER is needed" in wrong.output
