"""Files of answers as other programs write them: what is read, what is refused and why, and the intervals."""

import json

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.evaluation.answers import evaluate_answers, evaluate_released_answers, read_answers
from kyvo.evaluation.results import share_figure


def put(path, rows):
    """Writes rows as JSONL, JSON or text, by the path's ending."""
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        text = rows if isinstance(rows, str) else json.dumps(rows)
    path.write_text(text, encoding="utf-8")
    return path


def match(ours, truth):
    return evaluate_answers(read_answers(ours, truth), read_answers(truth)).figure("exact match")


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        (True, "yes", 1),
        (False, "no", 1),
        (True, "no", 0),
        (True, "true", 1),
        (False, "true", 0),
        (3, "3", 1),
        (3.0, "3", 1),
        (-0.0, "0", 1),
        (1e3, "1000", 1),
        (2.5, "2.5", 1),
        (1, "yes", 0),  # a number is no boolean
        ("True", "yes", 0),  # a text is compared to the letter
        (True, "True", 1),  # but a boolean has none
        (" yes ", "yes", 1),
        (float("nan"), "nan", 0),
        (None, "none", 0),
        ([3], "3", 0),
        ("", "", None),
    ],
)
@pytest.mark.parametrize("form", ["rows", "object", "answers", "questions"])
@pytest.mark.parametrize("side", ["predictions", "truth"])
def test_a_value_of_json_is_the_answer_that_it_spells(tmp_path, answer, text, right, form, side):
    def write(name, values):
        rows = [{"key": f"q{i}", "answer": value} for i, value in enumerate(values)]
        if form == "rows":
            return put(tmp_path / f"{name}.jsonl", rows)
        return put(
            tmp_path / f"{name}.json", {r["key"]: r["answer"] for r in rows} if form == "object" else {form: rows}
        )

    values = ([answer, "red"], [text, "red"])
    ours, truth = (
        write(name, rows)
        for name, rows in zip(("ours", "truth"), values if side == "predictions" else values[::-1], strict=True)
    )
    found = match(ours, truth)
    usable = answer not in (None, "", [3]) and answer == answer  # NaN is not itself
    if right is None or (side == "truth" and not usable):
        assert (found.value, found.count) == (1.0, 1)  # what the truth does not answer is left out
    else:
        assert (found.value, found.count) == ((right + 1) / 2, 2)


def test_booleans_on_both_sides_agree(tmp_path):
    truth = put(tmp_path / "truth.json", {"a": True, "b": False})
    assert match(put(tmp_path / "ours.json", {"a": True, "b": True}), truth).value == 0.5
    assert match(put(tmp_path / "words.json", {"a": "true", "b": "no"}), truth).value == 1.0


@pytest.mark.parametrize("nothing", [{}, {"answer": None}, {"answer": ""}])
def test_a_split_without_answers_is_refused_as_such(tmp_path, nothing):
    questions = [{"question_index": i, "question": "How many?", **nothing} for i in range(3)]
    truth = put(tmp_path / "truth.json", {"questions": questions})
    ours = put(tmp_path / "ours.json", {"0": "yes"})
    with pytest.raises(SceneError, match=r"truth.json has 3 questions and no answer to any of them, as the files of a"):
        match(ours, truth)
    with pytest.raises(SceneError, match=r"truth.json has 3 questions and no answer"):
        match(truth, ours)  # predictions without answers


def test_files_of_other_questions_are_refused_with_a_key_of_each(tmp_path):
    ours, truth = put(tmp_path / "ours.json", {"a": "1"}), put(tmp_path / "truth.json", {"b": "1"})
    with pytest.raises(SceneError, match="no question in common; their first keys are 'a' and 'b'"):
        match(ours, truth)


def test_keys_of_pandas_are_whole_numbers(tmp_path):
    truth = put(tmp_path / "truth.json", {"questions": [{"question_index": i, "answer": str(i)} for i in (4, 5)]})
    ours = put(
        tmp_path / "ours.jsonl", [{"question_index": 5.0, "answer": 5.0}, {"question_index": 4.0, "answer": 4.0}]
    )
    assert match(ours, truth).value == 1.0


@pytest.mark.parametrize(
    "text", ["3\nno\ncube", "3\nno\ncube\n", "3\r\nno\r\ncube\r\n", "\ufeff3\nno\ncube\n\n", " 3\t\nno \ncube"]
)
def test_a_text_file_answers_the_questions_in_their_order(tmp_path, text):
    keys = (12, 11, 10)
    truth = [{"question_index": key, "answer": answer} for key, answer in zip(keys, ("3", "yes", "cube"), strict=True)]
    truth = put(tmp_path / "truth.json", {"questions": truth})
    (tmp_path / "ours.txt").write_bytes(text.encode())
    found = evaluate_answers(read_answers(tmp_path / "ours.txt", truth), read_answers(truth))
    assert found.figure("exact match").value == pytest.approx(2 / 3)
    assert [item["key"] for item in found.items] == ["12", "11", "10"]


def test_a_text_file_is_refused_where_it_does_not_fit(tmp_path):
    truth = put(tmp_path / "truth.json", {"a": "1", "b": "2"})
    with pytest.raises(SceneError, match=r"has 3 lines, .*truth.json has 2 questions"):
        read_answers(put(tmp_path / "long.txt", "1\n2\n3\n"), truth)
    with pytest.raises(SceneError, match=r"holds JSON, .* name it .jsonl or .json"):
        read_answers(put(tmp_path / "rows.txt", '{"key": "a", "answer": "1"}\n'), truth)
    gap = evaluate_answers(read_answers(put(tmp_path / "gap.txt", "\n2\n"), truth), read_answers(truth))
    assert gap.figure("exact match").value == 0.5
    assert gap.excluded[0]["reason"].startswith("counts as wrong")


@pytest.mark.parametrize("name", ["answers.csv", "answers.json", "answers.yaml"])
def test_another_form_is_refused_with_the_forms_that_are_read(tmp_path, name):
    with pytest.raises(SceneError, match=r"Answers are read from JSONL, JSON, a text file \(.txt\)"):
        read_answers(put(tmp_path / name, "key,answer\na,1\n"))
    with pytest.raises(SceneError, match=r"Answers are read from JSONL, JSON"):
        read_answers(put(tmp_path / "list.json", ["3", "no"]))


def test_the_released_protocol_takes_the_same_values(tmp_path):
    ours = put(tmp_path / "ours.json", {"answers": [{"answer": 3.0}, {"answer": True}]})
    truth = put(tmp_path / "truth.json", {"answers": [{"answer": "3"}, {"answer": "yes"}]})
    assert evaluate_released_answers(ours, truth).figure("exact match").value == 1.0


@pytest.mark.slow
def test_intervals_cover_where_questions_share_pictures():
    """Coverage of the 95 % interval at an intra-class correlation of about 0.25, by simulation."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    for trial in range(40):
        # a Beta(1.5, 1.5) share a picture has an intra-class correlation of 1 / (1.5 + 1.5 + 1)
        right = rng.random((60, 10)) < rng.beta(1.5, 1.5, size=(60, 1))
        groups = np.repeat(np.arange(60), 10)
        found = share_figure("x", right.ravel(), groups=groups.tolist(), seed=trial)
        alone = share_figure("x", right.ravel(), groups=range(600), seed=trial)
        covered += found.low <= 0.5 <= found.high
        naive += alone.low <= 0.5 <= alone.high
    assert covered >= 36 and naive <= 34


@pytest.mark.parametrize("value", [0, 1])
def test_intervals_at_the_ends_are_wilsons(value):
    found = share_figure("x", np.full(30, value), groups=[i // 3 for i in range(30)], seed=0)
    reach = 3.8414588 / (10 + 3.8414588)  # ten pictures
    assert (found.low, found.high) == pytest.approx((0, reach) if value == 0 else (1 - reach, 1), abs=1e-6)
    assert found.value == value and found.count == 30


@pytest.mark.parametrize("name", ["image", "image_filename", "image_index"])
def test_questions_of_one_picture_are_drawn_together(tmp_path, name):
    rows = [{"key": f"q{i}", "answer": "yes", name: i // 5} for i in range(20)]
    truth = put(tmp_path / "truth.jsonl", rows)
    ours = put(tmp_path / "ours.jsonl", [{"key": f"q{i}", "answer": "yes" if i < 10 else "no"} for i in range(20)])
    found = match(ours, truth)
    assert (found.low, found.high) == (0, 1)  # four pictures, each all right or all wrong


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"key": "0", "answer": "no", "answer": "yes"}', "line 2: not JSON .the key 'answer' stands twice"),
        ('{"key": "0", "answer": ' + "[" * 20_000, "line 2: no scene is nested this deep"),
        ("key,answer", "line 2: not JSON"),
    ],
)
def test_a_line_that_is_no_json_of_one_meaning_is_refused_by_its_number(tmp_path, line, said):
    path = tmp_path / "ours.jsonl"
    path.write_text('{"key": "9", "answer": "a \u2028 b"}\n' + line)  # U+2028 ends no line
    with pytest.raises(SceneError, match=said):
        read_answers(path)


def test_a_boolean_is_no_key(tmp_path):
    assert list(read_answers(put(tmp_path / "ours.jsonl", [{"key": True, "answer": "yes"}])).items) == ["line 1"]
