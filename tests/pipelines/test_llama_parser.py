"""A Llama's folder as the parser: a tiny one with random weights writes programs or is refused, everywhere."""

import json
import shutil

import httpx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.cli.model import load_model
from kyvo.cli.parsers import load_parser
from kyvo.conversation import Conversation
from kyvo.errors import CheckpointError, ConfigError
from kyvo.parsers.llama import LlamaParser, prompt_of, written
from kyvo.programs.errors import NotUnderstood, ProgramError
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Edit, Query
from kyvo.programs.structure import check
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.files import save_scene, scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.serving.app import create_app
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CLEVR = SCHEMAS["clevr"]()
SCENE = Scene(
    objects=(SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7)),)
)


def llama(vocab_size, *, seed=0, length=16_384):
    """transformers', of Llama-3.2's form: shared heads, scaled rope, one table for embedding and head."""
    torch.manual_seed(seed)
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope = {"rope_theta": 500_000.0, "rope_scaling": scaling | {"original_max_position_embeddings": 8192}}
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=length, tie_word_embeddings=True, initializer_range=0.5,
            **rope,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "Llama-3.2-1B"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(["query, count, where, everything, the red cube, front left, end"], trainer)
    llama(tokenizer.get_vocab_size()).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    return path


@pytest.fixture(scope="module")
def parser(folder):
    return load_parser(str(folder))


def parser_of(model, folder, path):
    """Of a model that is saved at `path`, with the folder's tokenizer."""
    model.save_pretrained(path)
    shutil.copy(folder / "tokenizer.json", path)
    return LlamaParser.from_pretrained(path)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), name=st.sampled_from(list(SCHEMAS)))
@pytest.mark.slow
def test_any_text_gives_a_program_of_the_schema_or_a_named_error(parser, text, name):
    try:
        parsed = parser.parse(text, SCHEMAS[name]())
    except ProgramError:
        return
    check(parsed.program, SCHEMAS[name]())
    assert 0 < parsed.probability <= 1


@pytest.mark.slow
def test_what_is_written_is_a_program_and_does_not_depend_on_what_was_read_before(folder, parser, tmp_path):
    written = []
    turn = Turn(text="Remove the cube.", program=GrammarParser().parse("Remove the cube.", CLEVR).program)
    for one in (parser, parser_of(llama(parser.model.config.vocab_size, seed=1), folder, tmp_path)):
        alone = {text: outcome(one, text) for text in ("How many cubes are there?", "<|eot_id|> rm -rf")}
        outcome(one, "Put it back.", turn)
        assert {text: outcome(one, text) for text in reversed(alone)} == alone
        written += alone.values()
    assert any(isinstance(one, Query | Edit) for one in written)


def outcome(parser, text, *turns):
    try:
        return parser.parse(text, CLEVR, turns).program
    except NotUnderstood as error:
        return str(error)


@pytest.mark.slow
def test_a_model_that_knows_the_program_writes_it(folder, tmp_path):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = llama(tokenizer.get_vocab_size())
    text = "remove whatever is red"
    program = GrammarParser().parse(text, CLEVR).program
    prompt, answer = (tokenizer.encode(part).ids for part in (prompt_of(text, CLEVR), written(program, CLEVR)))
    ids = torch.tensor([prompt + answer])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        model(input_ids=ids, labels=torch.tensor([[-100] * len(prompt) + answer])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    parsed = parser_of(model, folder, tmp_path).parse(text, CLEVR)
    assert parsed.program == program and parsed.probability > 0.5


@pytest.mark.slow
def test_chat_serve_and_python_take_it(folder, tmp_path):
    tiny = tiny_kyvo()
    tiny.model.save_pretrained(tmp_path / "tiny")
    tiny.processor.save(tmp_path / "tiny")
    save_scene(SCENE, tmp_path / "scene.json")
    scene, model = str(tmp_path / "scene.json"), str(tmp_path / "tiny")
    names = [scene, "--model", model, "--device", "cpu", "--parser", str(folder)]
    done = CliRunner().invoke(app, ["chat", *names], input="How many cubes?\nRemove it.\n")
    assert isinstance(done.exception, SystemExit | None)  # 1 where a line of a pipe is refused
    loaded = load_model(model, "cpu", str(folder))
    assert isinstance(loaded.parser, LlamaParser)
    talk = Conversation(loaded, SCENE)
    for text in ("How many cubes?", "Remove the cube."):
        try:
            assert (turn := talk.say(text)).understood and turn.understood.reading
        except ProgramError:
            assert talk.scene == SCENE
    with serving(create_app(loaded, name="tiny")) as url:
        answer = httpx.post(
            f"{url}/v1/scenes/ask", json={"scene": scene_to_json(SCENE), "question": "How many cubes?"}, timeout=60
        )
    assert answer.status_code in (200, 422) and answer.json()


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("config", ConfigError, "has no config.json; a parser's folder is"),
        ("kind", ConfigError, "holds a model of the type 'gpt2'; a parser's folder holds a llama"),
        ("tokenizer", ConfigError, "has no tokenizer.json; copy the one"),
        ("broken tokenizer", ConfigError, "tokenizer.json is no tokenizer"),
        ("other tokenizer", ConfigError, "they are of two models"),
        ("weights", ConfigError, "has no weights"),
        ("broken weights", CheckpointError, "model.safetensors"),
    ],
)
def test_folders_that_are_none_are_named(folder, tmp_path, fault, error, said):
    path = tmp_path / "model"
    shutil.copytree(folder, path)
    files = {"config": "config.json", "tokenizer": "tokenizer.json", "weights": "model.safetensors"}
    name = next(file for key, file in files.items() if key in fault or (key == "config" and fault == "kind"))
    if fault in files:
        (path / name).unlink()
    elif fault == "kind":
        (path / name).write_text(json.dumps(json.loads((path / name).read_text()) | {"model_type": "gpt2"}))
    elif fault == "other tokenizer":
        tokenizer = Tokenizer.from_file(str(path / name))
        tokenizer.add_tokens(["more"])
        tokenizer.save(str(path / name))
    else:
        (path / name).write_bytes(b"{}" if "tokenizer" in fault else b"\0" * 64)
    with pytest.raises(error, match=said):
        load_parser(str(path))
    done = CliRunner().invoke(app, ["chat", "--parser", str(path)])
    assert done.exit_code == 2 and "Traceback" not in done.output


def test_a_prompt_that_is_too_long_for_the_model_is_told(folder, parser, tmp_path):
    short = parser_of(llama(parser.model.config.vocab_size, length=64), folder, tmp_path)
    with pytest.raises(NotUnderstood, match="the model reads 64"):
        short.parse("How many cubes?", CLEVR)
