"""Pictures and scenes of requests: read whole, or refused with a reason; no path and no URL is opened."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kyvo.errors import ConfigError, ImageError, SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.serving.inputs import Inputs, data_uri, picture_of
from kyvo.serving.limits import Limits

LIMITS = Limits(megapixels=1.0, objects=3)
INPUTS = Inputs(limits=LIMITS, schema=clevr_schema(), size=(24, 16))
PIXELS = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    picture.save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def bomb(width: int, height: int) -> str:
    """A PNG of some hundred bytes whose header claims a size; its pixels are zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")).decode()


def test_a_picture_comes_back_from_its_data_uri():
    np.testing.assert_array_equal(picture_of(data_uri(PIXELS), LIMITS), PIXELS)
    np.testing.assert_array_equal(picture_of(data_uri(PIXELS).partition(",")[2], LIMITS), PIXELS)


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
@pytest.mark.parametrize(
    "written",
    [
        lambda data: base64.encodebytes(data).decode(),  # lines of 76, as MIME has it
        lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
        lambda data: f" \t{base64.b64encode(data).decode()}\n",
    ],
)
def test_base64_may_be_in_lines(head, written):
    for extra in range(3):  # all lengths of the padding
        data = base64.b64decode(encoded(Image.fromarray(PIXELS), "PNG")) + bytes(extra)
        np.testing.assert_array_equal(picture_of(head + written(data), LIMITS), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_common_kinds_are_read(kind):
    assert picture_of(encoded(Image.fromarray(PIXELS), kind), LIMITS).shape == (5, 7, 3)


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "PPM", "ICO"])
def test_other_kinds_are_not(kind):
    with pytest.raises(ImageError, match="not a picture of a kind that is read here: PNG, JPEG"):
        picture_of(encoded(Image.new("RGB", (32, 32)), kind), LIMITS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://example.org/a.png", "opens no URL"),
        ("file:///etc/passwd", "opens no URL"),
        ("/etc/passwd", "not base64"),
        ("data:image/png,abc", "does not begin as data:image/png;base64"),
        ("data:" + "x" * 300, "does not begin as"),
        ("äöü", "not base64"),
        ("AAAA", "not a picture"),
        (encoded(Image.new("RGB", (300, 300), "red"), "PNG")[:160], "not a picture|truncated or damaged"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(text, reason):
    with pytest.raises(ImageError, match=reason):
        picture_of(text, LIMITS)


@pytest.mark.parametrize("size", [(1001, 1000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(size):
    with pytest.raises(ImageError, match=r"limit is 1 megapixels|more than 1 megapixels|not a picture"):
        picture_of(bomb(*size), LIMITS)


def test_a_damaged_picture_is_told_without_a_path():
    with pytest.raises(ImageError, match=r"^the picture is truncated or damaged"):
        picture_of(bomb(500, 500), LIMITS)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_an_error_of_ours(content):
    try:
        picture_of(base64.b64encode(b"\x89PNG\r\n\x1a\n" + content).decode(), LIMITS)
    except ImageError as error:
        assert "/tmp" not in str(error)


def test_a_picture_is_fitted_to_the_models_size():
    assert INPUTS.picture(data_uri(PIXELS)).pixels.shape == (16, 24, 3)


def test_a_scene_of_too_many_objects_is_refused(scene):
    scene["objects"] = scene["objects"] * 5_000
    with pytest.raises(SceneError, match="objects has 10,000 entries; the limit is 3"):
        INPUTS.scene(scene)


def test_a_scene_of_a_later_version_is_refused(scene):
    with pytest.raises(SceneError, match="version is 2"):
        INPUTS.scene({**scene, "version": 2})


def test_all_faults_of_a_scene_are_told_up_to_five(scene):
    scene["objects"][0] |= {"color": "pink", "shape": "cone"}
    with pytest.raises(SceneError, match=r"objects\[0\]\.shape.*objects\[0\]\.color|color.*shape"):
        INPUTS.drawable(scene)
    with pytest.raises(SceneError, match="And 5 more"):
        INPUTS.drawable({**scene, "objects": [{}, {}]})
    assert len(INPUTS.scene(scene)) == 2, "what is only edited or asked about may have any words"


def test_a_scene_of_other_conventions_is_refused(scene):
    with pytest.raises(SceneError, match="units is 'm'; the schema clevr needs 'clevr'"):
        INPUTS.drawable({**scene, "units": "m"})


def test_a_text_beyond_the_limit_is_refused():
    with pytest.raises(ConfigError, match="the text has 2,001 characters; the limit is 2,000"):
        INPUTS.text("x" * 2001)
