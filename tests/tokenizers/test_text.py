import importlib.metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import CheckpointError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_text
from kyvo.tokenizers.scene import SceneTokenizer
from kyvo.tokenizers.text import LlamaText, load_text
from kyvo.tokenizers.vocabulary import kyvo_vocabulary

ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\u2581")
)  # the piece that means a space


@given(text=ANY_TEXT)
def test_any_text_comes_back_from_sentencepiece(text):
    tokenizer = tiny_text()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(token in tokenizer.plain for token in ids)


def test_every_clevr_word_is_one_piece_of_the_mini_tokenizer():
    words = [word for field in clevr_schema().fields for word in field.words]
    assert [len(tiny_text().encode(" " + word)) for word in words] == [1] * len(words)


@pytest.fixture(scope="module")
def llama_model() -> Path:
    """Meta's tokenizer.model from the package `llama-models`, where it is installed."""
    try:
        files = importlib.metadata.files("llama-models") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("llama-models is not installed: pip install --no-deps llama-models")
    found = [file for file in files if str(file).endswith("llama3/tokenizer.model")]
    assert found, "this llama-models carries no llama3/tokenizer.model"
    return Path(str(found[0].locate()))


@pytest.mark.llama
def test_a_clevr_scene_takes_14_llama_tokens_an_object_and_two(llama_model):
    text = load_text(llama_model)
    assert isinstance(text, LlamaText)
    item = SceneObject(size="large", color="cyan", material="metal", shape="cylinder", location=(-0.55, 0.05, 0.7))
    tokenizer = SceneTokenizer(schema=clevr_schema(), vocabulary=kyvo_vocabulary(), text=text)
    for count in (0, 3, 10):
        assert len(tokenizer.encode(Scene(objects=(item,) * count))) == 14 * count + 2


@pytest.mark.llama
def test_llama_text_equals_torchtunes_tokenizer(llama_model):
    from torchtune.models.llama3 import llama3_tokenizer

    theirs, ours = llama3_tokenizer(str(llama_model)), LlamaText(llama_model)
    specials = theirs.special_tokens
    assert (ours.bos_id, ours.eos_id) == (specials["<|begin_of_text|>"], specials["<|end_of_text|>"])
    assert ours.pad_id == specials["<|finetune_right_pad_id|>"]
    for text in ("", " large", "What color is the cube?", "It's 12345 m\n\n  öß 日本 <|end_of_text|> 🙂"):
        assert ours.encode(text) == theirs.encode(text, add_bos=False, add_eos=False)
        assert ours.decode(ours.encode(text)) == text


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    empty = tmp_path / "tokenizer.model"
    with pytest.raises(CheckpointError, match="no such file"):
        load_text(empty)
    empty.write_bytes(b"")
    with pytest.raises(CheckpointError, match="not a readable SentencePiece model"):
        load_text(empty)
    empty.write_text("aGVsbG8= 0\n")
    with pytest.raises(CheckpointError, match=r"1 merges, but Llama-3's tokenizer\.model has 128,000"):
        load_text(empty)
