"""Programs as a modality: ids, sequences, constraint, and a language model that writes them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Draw

from kyvo.api import Kyvo, default_parser
from kyvo.cli.parsers import load_parser
from kyvo.errors import CheckpointError, ConfigError, TokenError
from kyvo.generation.constraint import Constraint
from kyvo.generation.guidance import to_lark
from kyvo.models.llama.fold import load_llama
from kyvo.models.llama.presets import SIZES
from kyvo.parsers.language_model import LanguageModelParser, read_min_probability
from kyvo.programs import program as p
from kyvo.programs.errors import NotUnderstood
from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.parsing import Turn
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.testing import tiny_builder, tiny_kyvo, tiny_processor, tiny_text
from kyvo.tokenizers.tasks import REFUSED, TASKS, Segments
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.folding import save_folded
from kyvo.training.init_weights import apply_init_weights
from kyvo.training.init_weights_files import read_init_weights
from kyvo.training.model import decoder

PARSING = TASKS["parsing"]
BUILDERS = {name: tiny_builder(SCHEMAS[name](), programs=True) for name in ("clevr", "clevr-view", "objectron")}
BUILDER = BUILDERS["clevr"]
RED = p.Where(of=p.Everything(), field="color", value="red")
COUNT = p.Query(asks=p.Count(of=p.Where(of=RED, field="shape", value="cube")))
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20).map(str.strip).filter(bool)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(list(BUILDERS)), said=st.lists(texts, max_size=3))
def test_texts_dialogues_and_programs_come_back_and_are_what_the_constraint_allows(seed, name, said):
    builder = BUILDERS[name]
    draw = Draw(seed, builder.scenes.schema)
    try:
        programs = [draw.program(nodes=5) for _ in range(len(said) + 1)]
        *earlier, program = [*programs]
        given_, wanted = (
            Segments(text="Remove it.", dialogue=tuple(zip(said, earlier, strict=True))),
            Segments(program=program),
        )
        sequence = builder.build(PARSING, given_, wanted)
    except TokenError as error:
        assert "tokens; at most 192 fit" in str(error)
        return
    back, out = builder.parse(PARSING, sequence.ids)
    assert out == wanted and [program for _, program in back.dialogue] == earlier
    constraint = Constraint.for_task(PARSING, builder)
    written = sequence.ids[sequence.labels >= 0].tolist()
    assert constraint.accepts(written) and not constraint.accepts(written[:-2])


def test_a_text_that_asks_nothing_has_no_program():
    ids = BUILDER.build(PARSING, Segments(text="Hello!", dialogue=()), Segments(program=REFUSED)).ids
    assert BUILDER.parse(PARSING, ids)[1].program == REFUSED
    constraint = Constraint.for_task(PARSING, BUILDER)
    assert constraint.closing(Constraint.START) == ids[-3:].tolist()


def test_a_vocabulary_without_programs_and_one_of_an_older_grammar_say_so():
    with pytest.raises(TokenError, match="has no programs; the task parsing needs a model that was trained with them"):
        tiny_builder().build(PARSING, Segments(text="Hi", dialogue=()), Segments(program=REFUSED))
    tokens = tuple(token for token in BUILDER.vocabulary.programs if token != "[P:count]")
    old = Vocabulary.for_schema(
        SCHEMAS["clevr"](), num_text=tiny_text().size, num_image_codes=16, num_shape_codes=32, programs=tokens
    )
    builder = type(BUILDER)(vocabulary=old, schema=SCHEMAS["clevr"](), text=tiny_text(), image_grid=(3, 4))
    with pytest.raises(TokenError, match=r"has no id for '\[P:count\]' of a program; it was made for an older grammar"):
        builder.build(PARSING, Segments(text="Hi", dialogue=()), Segments(program=COUNT))
    constraint = Constraint.for_task(PARSING, builder)
    assert all(len(constraint.allowed(state)) for state in (0, 1))
    with pytest.raises(TokenError, match="too many to be listed"):
        to_lark(constraint)
    assert Vocabulary.from_dict(old.to_dict()) == old
    assert (
        Vocabulary.from_dict({name: value for name, value in old.to_dict().items() if name != "programs"}).programs
        == ()
    )


@pytest.mark.slow
def test_the_language_model_writes_programs_with_their_probability():
    kyvo = tiny_kyvo(programs=True)
    assert isinstance(kyvo.parser, LanguageModelParser) and isinstance(tiny_kyvo().parser, GrammarParser)
    schema = kyvo.processor.schema
    turn = Turn(text="How many red cubes are there?", program=COUNT)
    for text in ("How many cubes are there?", "Remove it."):
        try:
            parsed = kyvo.parser.parse(text, schema, [turn])
        except NotUnderstood:
            continue
        assert 0 < parsed.probability <= 1 and kyvo.understand(text, [turn]).program == parsed.program
    with pytest.raises(ConfigError, match="the model writes programs of 'clevr', not 'objectron'"):
        kyvo.parser.parse("Remove it.", SCHEMAS["objectron"]())
    with pytest.raises(ConfigError, match="was not trained to write programs; take the parser `grammar`"):
        LanguageModelParser(tiny_kyvo().language_model)


def test_a_text_in_capitals_is_read_as_another():
    kyvo = Kyvo.from_pretrained("mini_programs", device="cpu")
    text = "How many red cubes are there?"
    assert kyvo.understand(text.upper()).program == kyvo.understand(text).program


def test_what_the_model_is_not_sure_of_is_refused(tmp_path):
    model = tiny_kyvo(programs=True).language_model
    assert read_min_probability(tmp_path) == 0
    (tmp_path / "parsing.json").write_text('{"min_probability": 1.5}')
    parser = default_parser(model, min_probability=read_min_probability(tmp_path))
    for text in ("How many cubes are there?", "Remove it."):
        with pytest.raises(NotUnderstood, match=r"not sure \(0\.\d\d; 1\.5 is needed\)|is not understood"):
            parser.parse(text, model.processor.schema)
    (tmp_path / "parsing.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"parsing\.json: .*min_probability"):
        read_min_probability(tmp_path)
    bundled = Kyvo.from_pretrained("mini_programs", device="cpu").parser
    assert isinstance(bundled, LanguageModelParser) and bundled.min_probability > 0


def test_a_folder_with_programs_folds_and_takes_the_rows_of_an_older_one(tmp_path):
    old, new = tiny_processor(), tiny_processor(schema=SCHEMAS["clevr-view"](), programs=True)

    def build(processor):
        torch.manual_seed(len(processor.vocabulary))
        builder = processor.builder
        return decoder(
            builder.vocabulary,
            processor.image.codebook,
            size="kyvo_tiny",
            positions=True,
            image_grid=builder.image_grid,
            image_order=builder.order,
        )

    for name, processor in (("old", old), ("new", new)):
        model = build(processor)
        if name == "new":
            init = read_init_weights(tmp_path / "old", size=SIZES["kyvo_tiny"]())
            fresh = model.tok_embeddings.table().detach().clone()
            apply_init_weights(model, init, where="old", vocabulary=new.vocabulary)
            assert torch.equal(model.tok_embeddings.table()[-3:], fresh[-3:])  # of programs
        save_folded(
            tmp_path / name,
            model.state_dict(),
            lambda processor=processor: build(processor),
            processor,
            size=SIZES["kyvo_tiny"](),
            dtype=torch.float32,
        )
    theirs, ours = (load_llama(tmp_path / name) for name in ("old", "new"))
    for kind, value in (("number", 0.05), ("marker", "[SHAPE]"), ("image", 7)):
        rows = []
        for processor, llama in ((old, theirs), (new, ours)):
            vocabulary = processor.vocabulary
            place = {"number": vocabulary.numbers, "marker": vocabulary.markers}.get(kind, range(16)).index(value)
            token = vocabulary.ranges[kind][place]
            rows.append((llama.model.embed_tokens.weight[token], llama.lm_head.weight[token]))
        for row, other in zip(*rows, strict=True):
            assert torch.allclose(row, other, atol=1e-5)
    parser = load_parser(str(tmp_path / "new"))
    assert isinstance(parser, LanguageModelParser)
    picture = np.zeros((16, 24, 3), dtype=np.uint8)
    assert Kyvo.from_pretrained(tmp_path / "new").recognize([picture], refine=False)[0].camera is not None
