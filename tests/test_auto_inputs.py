"""What programs for transformers pass to `apply_chat_template`: keywords, and pictures in every way there is."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from kyvo.auto import KyvoProcessor, _conversations
from kyvo.errors import ImageError, TokenError
from kyvo.testing import tiny_processor

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processor")
    tiny_processor().save(folder)
    return KyvoProcessor.from_pretrained(folder)


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


SHORT = user({"type": "image", "image": PIXELS})
SCENE = {
    "format": "kyvo-scene", "version": 1, "schema": "clevr", "frame": "world", "up_axis": "+z", "units": "clevr",
    "objects": [
        {"shape": "cube", "size": "large", "color": "red", "material": "metal", "location": [x, 0.0, 0.7]}
        for x in (0.0, 2.0)
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "keywords",
    [
        {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True},
        {"add_generation_prompt": False},
        {"padding": True, "padding_side": "left", "truncation": False},
        {"padding": "longest", "max_length": None, "truncation": None},
        {"padding": False},
        {"padding": None, "truncation": True, "max_length": 10_000},
        {"chat_template": None, "tools": None, "documents": [], "continue_final_message": False},
        {"return_attention_mask": True, "verbose": True},
        {"return_assistant_tokens_mask": False, "processor_kwargs": {}, "num_frames": None, "tokenizer_kwargs": None},
    ],
)
def test_keywords_that_ask_for_nothing_change_nothing(processor, keywords):
    plain, found = processor.apply_chat_template(SHORT), processor.apply_chat_template(SHORT, **keywords)
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_a_batch_is_padded_on_the_left_to_the_longest_or_to_a_length(processor):
    ids = processor.apply_chat_template(SHORT)["input_ids"][0].tolist()
    wide = processor.apply_chat_template(SHORT, padding="max_length", max_length=50)
    assert wide["input_ids"].shape == (1, 50) and wide["attention_mask"].sum() == len(ids)
    assert wide["input_ids"][0, -len(ids) :].tolist() == ids
    both = processor.apply_chat_template([SHORT, user({"type": "scene", "scene": SCENE})], padding="longest")
    assert both["input_ids"].shape[1] > len(ids) and both["input_ids"][0, -len(ids) :].tolist() == ids


def test_ids_come_as_tensors_arrays_or_lists_with_or_without_their_dictionary(processor):
    plain = processor.apply_chat_template(SHORT)["input_ids"]
    assert torch.equal(processor.apply_chat_template(SHORT, return_dict=False), plain)
    array = processor.apply_chat_template(SHORT, return_tensors="np")["input_ids"]
    assert isinstance(array, np.ndarray) and array.tolist() == plain.tolist()
    assert processor.apply_chat_template(SHORT, return_tensors=None)["input_ids"] == plain.tolist()
    ragged = processor.apply_chat_template([SHORT, user({"type": "scene", "scene": SCENE})],
        padding=False, return_tensors=None)  # fmt: skip
    assert len({len(row) for row in ragged["input_ids"]}) == 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"tokenize": False}, "has no tokenize=False; prompts are ids"),
        ({"padding_side": "right"}, "has no padding_side='right'"),
        ({"return_tensors": "tf"}, "has no return_tensors='tf'"),
        ({"tools": [{"type": "function"}]}, "has no tools"),
        ({"chat_template": "{{ x }}"}, "has no chat_template"),
        ({"continue_final_message": True}, "has no continue_final_message"),
        ({"truncation": True, "max_length": 3}, "max_length is 3; a prompt is never cut"),
        ({"padding": "max_length"}, "'max_length' with a max_length is needed"),
        ({"padding": "widest"}, "padding is 'widest'"),
    ],
)
def test_keywords_that_cannot_be_obeyed_are_refused_by_name(processor, keywords, message):
    with pytest.raises(TokenError, match=message):
        processor.apply_chat_template(SHORT, **keywords)


@pytest.mark.parametrize("content", [None, 5, [None], ["text"], [{"text": "no type"}]])
def test_a_message_without_parts_is_refused(processor, content):
    with pytest.raises(TokenError, match="is a text, or a list of parts with a `type` each"):
        processor.apply_chat_template([{"role": "user", "content": content}])


def test_prompts_of_several_lengths_need_padding(processor):
    talks = [SHORT, user({"type": "scene", "scene": SCENE})]
    with pytest.raises(TokenError, match="make no tensor without padding"):
        processor.apply_chat_template(talks, padding=False)
    with pytest.raises(TokenError, match="a list with a message at least"):
        processor.apply_chat_template([])


def file_of(folder):
    Image.fromarray(PIXELS).save(folder / "a picture.png")
    return folder / "a picture.png"


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


WAYS = {
    "path": lambda path: {"image": path},
    "text": lambda path: {"image": str(path)},
    "transformers' path": lambda path: {"path": str(path)},
    "url of a file": lambda path: {"url": path.as_uri()},
    "url that is a path": lambda path: {"url": str(path)},
    "data URI": lambda path: {"url": f"data:image/png;base64,{encoded(path)}"},
    "data URI as an image": lambda path: {"image": f"data:image/png;base64,{encoded(path)}"},
    "base64": lambda path: {"base64": encoded(path)},
    "base64 in lines": lambda path: {"base64": base64.encodebytes(path.read_bytes()).decode()},
    "base64 as an image": lambda path: {"image": encoded(path)},
    "bytes": lambda path: {"image": path.read_bytes()},
    "PIL": lambda path: {"image": Image.open(path)},
    "array": lambda path: {"image": PIXELS},
    "nulls beside": lambda path: {"image": None, "path": str(path), "url": None},
    "OpenAI's": lambda path: {"type": "image_url", "image_url": {"url": path.as_uri(), "detail": "auto"}},
    "OpenAI's, short": lambda path: {"type": "image_url", "image_url": str(path)},
    "with a hint": lambda path: {"image": str(path), "cache_control": {"type": "ephemeral"}},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_is_the_same_in_every_way_it_is_handed_over(processor, tmp_path, way):
    part = {"type": "image", **WAYS[way](file_of(tmp_path))}
    plain = processor.apply_chat_template(SHORT)["input_ids"]
    assert torch.equal(processor.apply_chat_template(user(part))["input_ids"], plain)


MODES = ("RGBA", "LA", "L", "P", "1", "CMYK", "I;16")


@pytest.mark.parametrize("mode", MODES)
def test_a_pil_image_is_taken_as_its_file_is(processor, tmp_path, mode):
    image = Image.fromarray(PIXELS)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(PIXELS[..., 0]))
    image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    ids = [
        processor.apply_chat_template(user({"type": "image", "image": given}))["input_ids"] for given in (image, path)
    ]
    assert torch.equal(*ids)


@pytest.mark.parametrize(
    ("shape", "mode"), [((16, 24), "L"), ((16, 24, 1), "L"), ((16, 24, 4), "RGBA"), ((16, 24, 2), "LA")]
)
def test_an_array_of_other_channels_is_the_picture_of_that_mode(processor, shape, mode):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(array[..., 0] if shape[-1] == 1 else array)
    assert image.mode == mode
    ids = [
        processor.apply_chat_template(user({"type": "image", "image": given}))["input_ids"] for given in (array, image)
    ]
    assert torch.equal(*ids)


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        (
            {"url": "https://example.org/a.png"},
            ImageError,
            "example.org/a.png is not downloaded; give the picture's file",
        ),
        ({"image": "http://example.org/a.png"}, ImageError, "is not downloaded"),
        ({"path": "gone.png"}, ImageError, "gone.png does not exist"),
        ({"url": "data:image/png,abc"}, ImageError, "does not begin as data:image/png;base64"),
        ({"base64": "?!"}, ImageError, "is not base64"),
        ({"image": b"no picture"}, ImageError, "is not a picture of a kind"),
        ({"image": b""}, ImageError, "is not a picture of a kind"),
        ({"image": np.zeros((4, 4, 3))}, ImageError, r"uint8 \[H, W, 3\]; found float64 \[4, 4, 3\]"),
        ({"image": np.zeros((3, 40, 40), np.uint8)}, ImageError, r"found uint8 \[3, 40, 40\]"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, ImageError, "has pixels"),
        ({}, TokenError, "stands under one of image, path, url, base64; this part has none"),
        ({"picture": "a.png"}, TokenError, "this part has picture"),
        ({"image": "a.png", "path": "b.png"}, TokenError, "this part has image, path"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(processor, part, error, message):
    with pytest.raises(error, match=message):
        processor.apply_chat_template(user({"type": "image", **part}))
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    assert processor.apply_chat_template(user({"type": "image", "image": buffer.getvalue()}))


def test_the_first_arguments_are_named_as_in_transformers(processor):
    plain = processor.apply_chat_template(SHORT)["input_ids"]
    assert torch.equal(processor.apply_chat_template(conversation=SHORT)["input_ids"], plain)
    assert torch.equal(processor.apply_chat_template(tuple(SHORT), None)["input_ids"], plain)


@pytest.mark.parametrize(
    ("conversation", "keywords", "said"),
    [
        ([SHORT, []], {}, "a conversation is a list"),
        ([*SHORT, {"role": "assistant", "content": SHORT[0]["content"]}], {}, "of the role 'assistant'"),
        (SHORT, {"task": "segmentation"}, "task is 'segmentation'; it is one of rendering"),
        (user({"type": "image", "image": {"bytes": b""}}), {}, "found a dict"),
    ],
)
def test_what_is_no_conversation_is_refused(processor, conversation, keywords, said):
    with pytest.raises((TokenError, ImageError), match=said):
        processor.apply_chat_template(conversation, **keywords)


@pytest.mark.parametrize("given", ["describe", ["describe"], [["describe"]], None, 5, [None], {}])
def test_texts_are_no_conversations(given):
    with pytest.raises(TokenError, match="a conversation is a list"):
        _conversations(given)
