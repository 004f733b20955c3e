"""Conditions of texts and pictures, by tiny networks of the published classes and by the small encoders."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_conditions import CLIP_PLACES, CLIP_WIDTH, DINO_PATCH, DINO_WIDTH, write_tiny_clip, write_tiny_dino

from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.flow.conditions import ConditionError, PictureCondition, TextCondition
from kyvo.models.flow.small_encoders import (
    SmallPictureEncoder,
    SmallPictureEncoderConfig,
    SmallTextEncoder,
    SmallTextEncoderConfig,
)
from kyvo.models.slat.load import load_network, save_network


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dino(tmp_path_factory.mktemp("dino"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


def test_a_picture_is_all_tokens_before_the_last_norm_each_normalised(dino: Path) -> None:
    from transformers import Dinov2WithRegistersModel

    condition = PictureCondition.from_folder(dino)
    pictures = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    found = condition(pictures)
    assert found.shape == (2, 1 + 4 + 7 * 7, DINO_WIDTH)
    assert condition.picture_size == 37 * DINO_PATCH  # 518 px for patches of 14
    whole = Dinov2WithRegistersModel.from_pretrained(dino, local_files_only=True).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        hidden = whole((pictures - mean[:, None, None]) / std[:, None, None], output_hidden_states=True).hidden_states[
            -1
        ]
    torch.testing.assert_close(found, F.layer_norm(hidden, (DINO_WIDTH,)))
    assert not condition.negative(found).any()


def test_a_text_is_clips_hidden_states_with_end_tokens_to_its_last_place(clip: Path) -> None:
    from transformers import CLIPTextModel

    condition = TextCondition.from_folder(clip)
    found = condition(["a red box", "cup"])
    assert found.shape == (2, CLIP_PLACES, CLIP_WIDTH)
    vocabulary = json.loads((clip / "vocab.json").read_text())
    start, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    ids = [start, vocabulary["a</w>"], vocabulary["red</w>"], vocabulary["box</w>"]]
    ids += [end] * (CLIP_PLACES - len(ids))
    whole = CLIPTextModel.from_pretrained(clip, local_files_only=True).eval()
    with torch.no_grad():
        expected = whole(input_ids=torch.tensor([ids])).last_hidden_state
        nothing = whole(input_ids=torch.tensor([[start] + [end] * (CLIP_PLACES - 1)])).last_hidden_state
    torch.testing.assert_close(found[:1], expected)
    torch.testing.assert_close(condition.negative(found), nothing.expand(2, -1, -1))
    assert condition.unknown_words("a zyxw box") == []


def test_texts_that_are_empty_or_too_long_are_refused(clip: Path) -> None:
    condition = TextCondition.from_folder(clip)
    with pytest.raises(ConditionError, match="The text is empty; say what to make"):
        condition(["  "])
    condition(["a b c d e f g"])  # with begin and end, nine
    with pytest.raises(ConditionError, match=r"has 10 tokens and the encoder takes at most 9"):
        condition(["a b c d e f g h"])


def test_folders_of_other_networks_are_refused(dino: Path, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json. Give the folder of openai/clip"):
        TextCondition.from_folder(tmp_path)
    with pytest.raises(CheckpointError, match=r"no readable CLIP text encoder|its weights lack"):
        TextCondition.from_folder(dino)
    with pytest.raises(CheckpointError, match="TRELLIS needs DINOv2 with registers"):
        PictureCondition.from_folder(clip)


WORDS = ("a", "red", "box", "chair")


def small_text(**changes) -> SmallTextEncoder:
    torch.manual_seed(0)
    return SmallTextEncoder(
        SmallTextEncoderConfig(**{"channels": 8, "words": WORDS, "num_places": 4, **changes})
    ).eval()


def test_the_small_encoders_come_back_from_their_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    picture = SmallPictureEncoder(SmallPictureEncoderConfig(channels=8, picture_size=32, patch_size=8)).eval()
    pictures = torch.rand(2, 3, 32, 32)
    for encoder, given in ((picture, pictures), (small_text(), ["a red box", "Chair!"])):
        save_network(encoder, tmp_path / "encoder")
        loaded = load_network(tmp_path / "encoder")
        torch.testing.assert_close(loaded(given), encoder(given))
        assert not encoder.negative(encoder(given)).any()
    assert picture(pictures).shape == (2, 16, 8)


def test_the_small_text_encoder_names_the_words_it_has_never_seen() -> None:
    encoder = small_text()
    assert encoder.unknown_words("A red zyxw-box, zyxw and qqq") == ["zyxw", "and", "qqq"]
    torch.testing.assert_close(encoder(["a red zyxw box"]), encoder(["a red box"]))
    with pytest.raises(ConditionError, match="never seen a word of 'zyxw qqq'"):
        encoder(["zyxw qqq"])
    with pytest.raises(ConditionError, match="has 5 words and the encoder takes at most 4"):
        encoder(["a red box a chair"])
    with pytest.raises(ConditionError, match="The text is empty"):
        encoder([""])


def test_small_encoders_of_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="9 channels do not divide into 4 heads"):
        SmallTextEncoderConfig(channels=9, words=WORDS)
    with pytest.raises(ConfigError, match="Pictures of 30 px do not divide into patches of 8"):
        SmallPictureEncoderConfig(channels=8, picture_size=30, patch_size=8)
    with pytest.raises(ConfigError, match="patch_size is 6; it is a power of two"):
        SmallPictureEncoderConfig(channels=8, picture_size=30, patch_size=6)
