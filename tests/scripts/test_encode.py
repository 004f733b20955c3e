"""From pictures to what a recipe reads: build_text, encode and build_processor, one after another."""

import json

import loading
import numpy as np
import pytest
from datasets import load_from_disk

from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import CheckpointError, TokenError
from kyvo.models.heads.refiner import save_refiner
from kyvo.processor import Processor
from kyvo.testing import tiny_image, tiny_refiner
from kyvo.tokenizers.text import load_text
from kyvo.training.data import TokenizedScenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text tokenizer, an image tokenizer and a set of six pictures."""
    path = tmp_path_factory.mktemp("inputs")
    with loading.program("tokenizers/build_text.py") as build_text:
        build_text.main(["--out", str(path / "tokenizer.model"), "--size", "400"])
    tiny_image().save(path / "image")
    write_set(path / "set", ClevrSet(count=6, seed=0, width=24, height=16, samples=1, batch=6))
    return path


def build_processor(folder, out, *options):
    with loading.program("tokenizers/build_processor.py") as program:
        arguments = ["--text", str(folder / "tokenizer.model"), "--image-tokenizer", str(folder / "image")]
        return program.main([*arguments, "--schema", "clevr", "--out", str(out), *options])


def test_a_refiner_goes_into_the_processor_and_one_that_is_not_there_is_refused(folder, tmp_path, capsys):
    save_refiner(tmp_path, tiny_refiner())
    out = build_processor(folder, tmp_path / "processor", "--refiner", str(tmp_path))
    processor = Processor.from_pretrained(out)
    assert processor.refiner.config == tiny_refiner().config
    with pytest.raises(SystemExit):
        build_processor(folder, tmp_path / "none", "--refiner", str(folder))
    assert "has no refiner.safetensors" in capsys.readouterr().err


def test_a_set_of_pictures_becomes_sequences(folder, tmp_path):
    with loading.program("tokenizers/encode.py") as encode:
        arguments = ["--data", str(folder / "set"), "--image-tokenizer", str(folder / "image")]
        out = encode.main([*arguments, "--out", str(tmp_path / "codes")])
        with pytest.raises(SystemExit):
            encode.main([*arguments, "--out", str(out)])
    coded, source = load_from_disk(out), open_set(folder / "set")
    assert coded["scene"][:] == source["scene"][:] and "image" not in coded.column_names
    expected = tiny_image().encode([np.asarray(picture) for picture in source["image"]])
    assert np.array_equal(np.array(coded["codes"][:]), expected)
    card = json.loads((out / "card.json").read_text())
    assert card["count"] == 6 and card["data"]["settings"]["seed"] == 0

    processor = Processor.from_pretrained(build_processor(folder, tmp_path / "processor"))
    samples = TokenizedScenes(processor.builder, folders=[str(out)], tasks={"recognition": 1.0})
    assert len(samples.sequences([0, 5], np.random.default_rng(0))) == 2


@pytest.mark.slow
def test_a_picture_seen_by_another_camera_goes_in_and_the_plain_one_comes_out(folder, tmp_path):
    with loading.program("tokenizers/encode.py") as encode:
        arguments = ["--data", str(folder / "set"), "--image-tokenizer", str(folder / "image"), "--augment", "3"]
        out, again = (encode.main([*arguments, "--out", str(tmp_path / name)]) for name in ("codes", "again"))
    coded = load_from_disk(out)
    plain = tiny_image().encode([np.asarray(picture) for picture in open_set(folder / "set")["image"]])
    assert np.array_equal(np.array(coded["codes"][:]), plain)
    assert coded["seen_codes"][:] == load_from_disk(again)["seen_codes"][:] != coded["codes"][:]

    processor = Processor.from_pretrained(build_processor(folder, tmp_path / "processor"))
    sides = {
        task: TokenizedScenes(processor.builder, folders=[str(out)], tasks={task: 1.0}).segments(0, 0.0, 0.0)
        for task in ("recognition", "rendering")
    }
    assert sides["recognition"][1].image.tolist() == coded["seen_codes"][0]
    assert sides["rendering"][2].image.tolist() == coded["codes"][0]


def test_the_same_sentences_give_the_same_text_tokenizer(folder, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a red cube\nthe blue sphere is left of the red cube\n" * 20)
    with loading.program("tokenizers/build_text.py") as build_text:
        paths = [tmp_path / name for name in ("a.model", "b.model")]
        for path in paths:
            build_text.main(["--out", str(path), "--size", "400", "--corpus", str(corpus)])
    assert paths[0].read_bytes() == paths[1].read_bytes() != (folder / "tokenizer.model").read_bytes()
    text = load_text(paths[0])
    assert text.decode(text.encode("a red cube, größer")) == "a red cube, größer"


def test_a_vocabulary_of_another_size_is_refused(folder, tmp_path):
    with pytest.raises((CheckpointError, TokenError), match="must be made for each other"):
        build_processor(folder, tmp_path / "processor", "--vocabulary", "mini")
