"""Questions: well-posed, answered by their own programs, balanced, and the same from the same seed."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.data.language.clevr_templates import read_clevr_templates
from kyvo.data.language.question_phrases import FAMILIES, TemplateSet, own_templates
from kyvo.data.language.question_programs import ANSWERS, FUNCTIONS, WORDS, SceneIndex, answer, check, run, step
from kyvo.data.language.questions import Balance, Question, baselines, has_needless_relation, sample_questions
from kyvo.data.language.referents import ATTRIBUTES
from kyvo.errors import ConfigError, SceneError
from kyvo.programs import execute
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.program import Query
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import load_clevr
from kyvo.scene.scene import Scene, SceneObject

TEMPLATES = Path("clevr", "generator", "question_generation", "CLEVR_1.0_templates")
RED_CUBE = {"size": "large", "color": "red", "material": "metal", "shape": "cube"}
BLUE_BALL = {"size": "small", "color": "blue", "material": "rubber", "shape": "sphere"}
RED_BALL = {"size": "small", "color": "red", "material": "metal", "shape": "sphere"}


def make_scene(*rows: dict[str, str]) -> Scene:
    """Objects from left to right, all at one depth: CLEVR's right is (0.66, 0.75)."""
    items = [SceneObject(**row, location=(0.6563 * i, 0.7544 * i, 0.5)) for i, row in enumerate(rows)]  # type: ignore[arg-type]
    return Scene(objects=tuple(items))


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Three to ten objects of any look, wherever on the floor."""
    place = st.floats(-3, 3)
    look = st.fixed_dictionaries({name: st.sampled_from(WORDS[name]) for name in ATTRIBUTES})
    item = st.tuples(look, place, place)
    rows = draw(st.lists(item, min_size=3, max_size=10))
    return Scene(objects=tuple(SceneObject(**look, location=(x, y, 0.35)) for look, x, y in rows))  # type: ignore[arg-type]


@pytest.fixture
def three() -> Scene:
    return make_scene(RED_CUBE, BLUE_BALL, RED_BALL)


def some_scene(seed: int) -> Scene:
    rng = np.random.default_rng(seed)
    looks = [{name: WORDS[name][rng.integers(len(WORDS[name]))] for name in ATTRIBUTES} for _ in range(7)]
    places = rng.uniform(-3, 3, size=(7, 2)).tolist()
    items = [SceneObject(**look, location=(x, y, 0.35)) for look, (x, y) in zip(looks, places, strict=True)]  # type: ignore[arg-type]
    return Scene(objects=tuple(items))


def block(seed: int, *, num_scenes: int, templates: TemplateSet | None = None) -> list[Question]:
    """Twelve questions of each of some scenes, balanced together."""
    balance = Balance()
    rng = np.random.default_rng(seed)
    found: list[Question] = []
    for index in range(num_scenes):
        found += sample_questions(some_scene(index), rng, count=12, balance=balance, templates=templates)
    return found


@given(scenes(), st.integers(0, 1000))
def test_every_question_is_answered_by_its_own_program_within_its_answer_set(scene, seed):
    for question in sample_questions(scene, np.random.default_rng(seed), count=6):
        assert question.family in FAMILIES
        assert answer(question.program, scene) == question.answer
        assert question.answer in ANSWERS[question.type]
        assert json.loads(json.dumps(question.program)) == question.program


@given(scenes(), st.integers(0, 1000))
def test_every_relation_of_a_question_leaves_something_out(scene, seed):
    for question in sample_questions(scene, np.random.default_rng(seed), count=5):
        if question.family not in ("compare_integer", "comparison", "single_or"):  # these have two ends: see below
            assert not has_needless_relation(question.program, scene)
        for place, row in enumerate(question.program):
            if row["function"] == "relate":
                end = place
                while question.program[end + 1]["function"].startswith("filter_"):
                    end += 1
                with_it = [*question.program[: end + 1], step("count", [end])]
                without = [*with_it[:place], step("scene"), *with_it[place + 1 :]]
                assert answer(with_it, scene) != answer(without, scene)


def test_a_needless_relation_is_found(three):
    ball = [step("scene"), step("filter_color", [0], "blue"), step("unique", [1])]
    for relation, needless in (("left", True), ("right", False)):  # the one cube is on the left
        related = [*ball, step("relate", [2], relation), step("filter_shape", [3], "cube"), step("count", [4])]
        assert has_needless_relation(related, three) == needless


def test_the_answer_is_that_of_the_scene(three):
    red = [step("scene"), step("filter_color", [0], "red")]
    ball = [step("scene"), step("filter_color", [0], "blue"), step("unique", [1])]
    assert answer([*red, step("count", [1])], three) == "2"
    assert answer([*red, step("exist", [1])], three) == "yes"
    assert answer([*ball, step("query_shape", [2])], three) == "sphere"
    assert answer([*ball, step("relate", [2], "left"), step("unique", [3]), step("query_shape", [4])], three) == "cube"
    assert answer([*ball, step("same_shape", [2]), step("unique", [3]), step("query_color", [4])], three) == "red"
    assert answer([*ball, step("relate", [2], "behind"), step("exist", [3])], three) == "no"
    left_or_right = [*ball, step("relate", [2], "left"), step("relate", [2], "right")]
    assert answer([*left_or_right, step("union", [3, 4]), step("count", [5])], three) == "2"
    assert answer([*left_or_right, step("intersect", [3, 4]), step("count", [5])], three) == "0"
    counts = [step("scene"), step("count", [0]), step("filter_color", [0], "red"), step("count", [2])]
    for function, said in (("equal_integer", "no"), ("less_than", "no"), ("greater_than", "yes")):
        assert answer([*counts, step(function, [1, 3])], three) == said


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ([], "no steps"),
        ([{"function": "scene"}], r"program\[0\] has no 'inputs'"),
        ([step("scenery")], r"program\[0\] is 'scenery'; known functions are scene"),
        ([step("scene"), step("count", [1])], r"program\[1\].inputs is \[1\]; .*earlier steps"),
        ([step("scene"), step("query_color", [0])], r"program\[1\] \(query_color\) takes object but is given set"),
        (
            [step("scene"), step("filter_color", [0], "pink")],
            r"value_inputs is \['pink'\]; filter_color takes one of gray",
        ),
        ([step("scene"), step("count", [0], "red")], r"count takes none"),
        ([step("scene")], "ends in scene, which gives set"),
    ],
)
def test_a_malformed_program_is_refused_with_its_step(three, program, message):
    with pytest.raises(SceneError, match=message):
        answer(program, three)


def test_asking_for_one_object_where_none_or_several_fit_is_refused(three):
    def query(color: str) -> list[dict]:
        return [step("scene"), step("filter_color", [0], color), step("unique", [1]), step("query_size", [2])]

    with pytest.raises(SceneError, match=r"program\[2\] \(unique\): objects 0, 2 fit; exactly one must"):
        answer(query("red"), three)
    with pytest.raises(SceneError, match=r"program\[2\] \(unique\): no object fits"):
        answer(query("green"), three)


def test_a_scene_without_clevr_attributes_is_refused():
    with pytest.raises(SceneError, match=r"objects\[0\].size is None; questions are for"):
        answer([step("scene"), step("count", [0])], Scene(objects=(SceneObject(category="person"),)))


def test_more_questions_than_a_scene_gives_are_refused():
    own = own_templates()
    exist = own.kinds["zero_hop"]["exist"][0]
    one = TemplateSet(templates=(replace(exist, texts=("Any <S>s?",)),), words=own.words)  # five texts at most
    with pytest.raises(SceneError, match=r"0 objects gave \d different questions; 6 are asked for"):
        sample_questions(Scene(objects=()), np.random.default_rng(0), count=6, templates=one)


def test_one_seed_gives_the_same_questions():
    assert block(3, num_scenes=2) == block(3, num_scenes=2)
    assert block(3, num_scenes=2) != block(4, num_scenes=2)


def test_a_set_holds_all_families_evenly_and_its_answers_balance():
    questions = block(0, num_scenes=20)
    families = Counter(question.family for question in questions)
    assert families.keys() == set(FAMILIES)
    assert max(families.values()) - min(families.values()) <= 1
    said = Counter(question.answer for question in questions if question.type == "bool")
    assert abs(said["yes"] / said.total() - 0.5) < 0.1
    numbers = Counter(question.answer for question in questions if question.type == "integer")
    assert max(numbers.values()) / numbers.total() < 0.35


def test_texts_have_no_slots_left_and_read_as_sentences():
    for question in block(1, num_scenes=5):
        assert question.text[0].isupper() and question.text[-1] in ".?"
        assert not set("<>[]{}") & set(question.text)
        assert "  " not in question.text and " ?" not in question.text


def test_baselines_guess_by_answer_type():
    """The paper's numbers of answers by type give its random baseline, 0.359 (arXiv:2506.08002, section 3)."""
    amounts = {"exist": 8080, "count": 4401, "query_color": 1919, "query_size": 1920}
    amounts |= {"query_shape": 1840, "query_material": 1840}
    questions = []
    for function, amount in amounts.items():
        word = ANSWERS[FUNCTIONS[function].output][0]
        question = Question(family="zero_hop", text="", program=[step(function, [0])], answer=word)
        questions += [question] * (amount // 10)
    found = baselines(questions)
    assert found["all"]["random"] == pytest.approx(0.359, abs=5e-4)
    assert found["all"]["most_frequent"] == 1.0
    assert found["zero_hop"] == found["all"]
    with pytest.raises(ConfigError, match="no questions"):
        baselines([])


def test_most_frequent_guesses_one_answer_for_each_type():
    ask = {"family": "zero_hop", "text": "", "program": [step("exist", [0])]}
    questions = [Question(**ask, answer=word) for word in ("yes", "yes", "yes", "no")]
    assert baselines(questions)["all"] == {"count": 4, "random": 0.5, "most_frequent": 0.75}


def test_every_own_template_is_asked_of_some_scene():
    asked = Counter((question.family, question.program[-1]["function"]) for question in block(2, num_scenes=20))
    assert asked.keys() == {(family, kind) for family, kinds in own_templates().kinds.items() for kind in kinds}


def test_clevr_templates_of_all_nine_families_give_questions(shared_data):
    templates = read_clevr_templates(shared_data / TEMPLATES)
    assert templates.kinds.keys() == set(FAMILIES)
    balance = Balance()
    rng = np.random.default_rng(0)
    scenes = load_clevr(shared_data / "clevr" / "clevr_pairs_scenes.json")[:8]
    for scene in scenes:
        for question in sample_questions(scene, rng, count=9, balance=balance, templates=templates):
            check(question.program)
            assert answer(question.program, scene) == question.answer
            assert not set("<>[]") & set(question.text)
    assert balance.families.keys() == set(FAMILIES)


def test_no_wording_is_of_clevr(shared_data):
    theirs = {text for template in read_clevr_templates(shared_data / TEMPLATES).templates for text in template.texts}
    assert not theirs & {text for template in own_templates().templates for text in template.texts}


GOOD = {
    "text": ["Where is the <C>?"],
    "nodes": [
        {"type": "scene", "inputs": []},
        {"type": "filter_count", "inputs": [0], "side_inputs": ["<C>"]},
    ],
    "params": [{"name": "<C>", "type": "Color"}],
    "constraints": [],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": None}, r"zero_hop.json\[0\] is no template"),
        ({"params": []}, r"\[0\]: <C> is used but not among its params"),
        ({"params": [{"name": "<C>", "type": "Weight"}]}, "<C> is of type 'weight'; known are"),
        ({"nodes": [{"type": "ponder", "inputs": []}]}, r"nodes\[0\] is 'ponder'; known are"),
        ({"nodes": [{"type": "scene", "inputs": [0]}]}, r"nodes\[0\].inputs is \[0\]; they must be earlier"),
        ({"constraints": [{"type": "XOR", "params": []}]}, "a constraint is 'XOR'; known are NULL and OUT_NEQ"),
        ({"nodes": GOOD["nodes"][:1]}, "the program ends in scene"),
    ],
)
def test_a_faulty_template_file_is_refused_with_its_place(tmp_path, change, message):
    path = tmp_path / "zero_hop.json"
    path.write_text(json.dumps([GOOD]))
    assert len(read_clevr_templates(tmp_path).templates) == 1
    path.write_text(json.dumps([GOOD | change]))
    with pytest.raises(ConfigError, match=message):
        read_clevr_templates(tmp_path)


def test_a_folder_without_template_files_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no \*.json; point at CLEVR's folder"):
        read_clevr_templates(tmp_path)
    (tmp_path / "zero_hop.json").write_text("[")
    with pytest.raises(ConfigError, match="is not JSON"):
        read_clevr_templates(tmp_path)


def test_another_thing_is_of_the_kind_of_the_one_before():
    """ "The other large cube with the color of the ball" presupposes that the ball is a large cube."""
    only = own_templates().only(["same_relate"])
    called_other = 0
    for seed in range(20):
        scene = some_scene(seed)
        for question in sample_questions(scene, np.random.default_rng(seed), count=8, templates=only):
            if " other " in question.text:
                called_other += 1
                index = SceneIndex(scene)
                outputs = run(question.program, index)
                place, same = next((i, row) for i, row in enumerate(question.program) if "same_" in row["function"])
                first = index.values[outputs[same["inputs"][0]]]
                for row in question.program[place:]:
                    if row["function"].startswith("filter_"):
                        assert first[row["function"].removeprefix("filter_")] == row["value_inputs"][0], question.text
    assert called_other > 10


@pytest.mark.slow
def test_no_answer_about_two_relations_is_given_away():
    only = own_templates().only(["single_and"])
    said: dict[str, Counter[str]] = {}
    for question in block(0, num_scenes=15, templates=only):
        said.setdefault(question.program[-1]["function"], Counter())[question.answer] += 1
    assert max(said["count"].values()) / said["count"].total() < 0.35
    for kind in ("query_size", "query_material", "exist"):  # a scene of seven does not always have both
        assert max(said[kind].values()) / said[kind].total() < 0.65, said[kind]


@pytest.mark.parametrize("num_scenes", [3, pytest.param(80, marks=pytest.mark.slow)])
def test_a_second_reader_understands_the_same(num_scenes):
    """The grammar of English, which knows no templates, reads each question and answers alike."""
    parser, schema, balance = GrammarParser(), clevr_schema(), Balance()
    rng = np.random.default_rng(1)
    for number in range(num_scenes):
        scene = some_scene(number)
        for question in sample_questions(scene, rng, count=12, balance=balance):
            program = parser.parse(question.text, schema).program
            assert isinstance(program, Query), question.text
            assert execute.answer(program, scene, schema).text == question.answer, question.text
