import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kyvo.errors import ImageError
from kyvo.tokenizers.pictures import read_picture

RED = (255, 0, 0)


def test_a_png_is_read_exactly(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a name with spaces.png")
    assert np.array_equal(read_picture(tmp_path / "a name with spaces.png"), picture)


def test_a_text_file_is_no_picture(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(ImageError, match=r"notes\.png is not a picture"):
        read_picture(path)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match=r"a.png is empty \(0 bytes\)"):
        read_picture(tmp_path / "a.png")


def test_a_directory_is_said_to_be_one(tmp_path):
    with pytest.raises(ImageError, match="is a directory"):
        read_picture(tmp_path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_a_file_cut_anywhere_is_an_image_error(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=f"a.{suffix} is (truncated or damaged|not a picture)"):
        read_picture(path)


@pytest.mark.parametrize(("side", "megapixels"), [(10_001, "100"), (50_000, "2,500")])
def test_a_huge_picture_is_refused_from_its_header(tmp_path, side, megapixels):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    with pytest.raises(ImageError, match=rf"too large: .*{megapixels} megapixels.*; the limit is 100 megapixels"):
        read_picture(tmp_path / "a.png")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_the_message_of_a_huge_picture_has_its_size(tmp_path):
    Image.new("1", (10_100, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"10100x10000 px \(101 megapixels\)"):
        read_picture(tmp_path / "a.png")


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    ramp = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 128, 255]
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif")[0, :, 2].tolist() == [0, 1, 128, 255]


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert abs(read_picture(tmp_path / "a.jpg").astype(int) - RED).max() <= 3


def test_palette_grey_and_bilevel_become_rgb(tmp_path):
    Image.new("RGB", (4, 4), RED).convert("P").save(tmp_path / "p.png")
    assert (read_picture(tmp_path / "p.png") == RED).all()
    Image.new("L", (4, 4), 90).save(tmp_path / "l.png")
    assert (read_picture(tmp_path / "l.png") == 90).all()
    Image.new("1", (4, 4), 1).save(tmp_path / "b.png")
    assert (read_picture(tmp_path / "b.png") == 255).all()


def test_transparency_is_composited_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == 255).all()
    Image.new("RGBA", (4, 4), (255, 0, 0, 255)).save(tmp_path / "b.png")
    assert (read_picture(tmp_path / "b.png") == RED).all()


def test_a_transparent_palette_entry_is_white_too(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=1)
    assert read_picture(tmp_path / "a.png")[0].tolist() == [list(RED), [255, 255, 255]]


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, (0, 0, 255))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_picture(tmp_path / "a.gif") == RED).all()


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    Image.new("RGB", (8, 4), RED).save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").shape == (8, 4, 3)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("level", [0, 1])
def test_a_transparent_grey_of_a_png_becomes_white_at_every_depth(tmp_path, depth, level):
    most = 2**depth - 1
    levels = [0, 1 if depth > 1 else most]  # two greys of the file, of which one is transparent
    bits = "".join(f"{levels[x // 8]:0{depth}b}" for x in range(16))
    row = int(bits, 2).to_bytes(len(bits) // 8)
    header = struct.pack(">IIBBBBB", 16, 4, depth, 0, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        (b"tRNS", struct.pack(">H", levels[level])),
        (b"IDAT", zlib.compress((b"\0" + row) * 4)),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    found = read_picture(tmp_path / "a.png")
    greys = [round(value * 255 / most) for value in levels]
    greys[level] = 255
    assert [found[1, 3].tolist(), found[1, 12].tolist()] == [[greys[0]] * 3, [greys[1]] * 3]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_color_of_a_png_becomes_white(tmp_path, depth):
    colors = [(10, 200, 30), (220, 30, 30)]
    scale = 257 if depth == 16 else 1
    width = depth // 8
    pixel = [b"".join((value * scale).to_bytes(width) for value in color) for color in colors]
    header = struct.pack(">IIBBBBB", 16, 4, depth, 2, 0, 0, 0)
    clear = struct.pack(">HHH", *(value * scale for value in colors[1]))
    content = zlib.compress((b"\0" + pixel[0] * 8 + pixel[1] * 8) * 4)
    parts = [(b"IHDR", header), (b"tRNS", clear), (b"IDAT", content), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    found = read_picture(tmp_path / "a.png")
    assert found[1, 3].tolist() == list(colors[0]) and found[1, 12].tolist() == [255] * 3


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP"])
def test_a_chunk_that_pillow_refuses_costs_that_picture_alone(tmp_path, kind):
    text = zlib.compress(bytes(80_000_000))
    head = {b"tEXt": b"a\0", b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (kind, head + text), (b"IDAT", zlib.compress(bytes(20))), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    try:
        assert read_picture(tmp_path / "a.png").shape == (4, 4, 3)
    except ImageError as error:
        assert "a.png is truncated or damaged" in str(error)


def test_bytes_that_are_changed_anywhere_are_read_or_refused(tmp_path):
    """Further inputs: each kind of file with random bytes changed, cut or repeated."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8))
    refused = 0
    for suffix in ("png", "jpg", "gif", "webp", "bmp", "tif", "avif"):
        path = tmp_path / f"a.{suffix}"
        picture.save(path)
        data = path.read_bytes()
        for _ in range(30):
            changed = bytearray(data)
            for place in rng.integers(len(data), size=rng.integers(1, 6)):
                changed[place] = rng.integers(256)
            path.write_bytes(bytes(changed[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else changed))
            try:
                assert read_picture(path).dtype == np.uint8
            except ImageError:
                refused += 1
    assert refused > 20
