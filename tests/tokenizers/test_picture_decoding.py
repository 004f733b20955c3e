"""Hostile and damaged pictures: each is decoded in bounded time, or is one ImageError that names it."""

import contextlib
import io
import os
import random
import signal
import struct
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from kyvo.errors import ImageError
from kyvo.tokenizers import picture_decoding
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.picture_decoding import FORMATS, DecoderBusy, decode_picture
from kyvo.tokenizers.picture_headers import MAX_SCANS, is_plain

PIXELS = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "SGI", "DDS", "ICNS", "JPEG2000", "AVIF")
FEW, MANY = 30, 300  # mutated files of each kind: 360 and 3,600


def encoded(kind="PNG", picture=None, **settings):
    file = io.BytesIO()
    image = Image.fromarray(PIXELS) if picture is None else picture
    image = image.resize((128, 128)) if kind == "ICNS" else image
    image.save(file, kind, **settings)
    return file.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def scans_repeated(data, count):
    """A progressive JPEG with its last scan so often more."""
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * count + data[-2:]


@pytest.mark.parametrize("kind", FORMATS)
def test_common_formats_are_decoded(kind):
    picture = decode_picture(encoded(kind), "it")
    assert picture.shape == PIXELS.shape and picture.dtype == np.uint8
    if kind not in ("JPEG", "WEBP", "GIF", "AVIF"):
        assert (picture == PIXELS).all()


@pytest.mark.parametrize("kind", ["PPM", "SGI", "DDS", "ICNS", "JPEG2000", "EPS", "PCX", "TGA"])
def test_other_formats_are_not(kind):
    with pytest.raises(ImageError, match="it is not a picture of a kind that is read here: PNG, JPEG, WEBP"):
        decode_picture(encoded(kind), "it")


def test_plain_files_are_decoded_here_and_others_apart():
    assert is_plain(encoded()) and is_plain(encoded("JPEG")) and is_plain(encoded("JPEG", progressive=True))
    assert not any(map(is_plain, (encoded("WEBP"), encoded("GIF"), encoded("TIFF"), b"", b"\xff\xd8\xff")[:3]))
    frames = {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]}
    assert not is_plain(encoded(**frames)), "animated"


def overlapping_tags(num_entries, size):
    """EXIF whose entries all name the same bytes."""
    rows = b"".join(struct.pack(">HHLL", tag, 7, size - 100, 50) for tag in range(1, num_entries + 1))
    return (b"MM\0*" + struct.pack(">LH", 8, num_entries) + rows).ljust(size, b"\0")


def with_segments(marker, head, data):
    """A JPEG with the data in segments of this kind."""
    parts = (head + data[start : start + 65_000] for start in range(0, len(data), 65_000))
    segments = b"".join(marker + struct.pack(">H", len(part) + 2) + part for part in parts)
    whole = encoded("JPEG")
    return whole[:2] + segments + whole[2:]


@pytest.mark.parametrize(
    "bomb",
    [
        with_segments(b"\xff\xe1", b"Exif\0\0", overlapping_tags(5000, 64_000)),
        pytest.param(
            with_segments(b"\xff\xe1", b"Exif\0\0", overlapping_tags(20_000, 250_000)), marks=pytest.mark.slow
        ),
        with_segments(b"\xff\xe2", b"MPF\0", overlapping_tags(5000, 64_000)),
        encoded()[:-12] + chunk(b"eXIf", overlapping_tags(5000, 64_000)) + encoded()[-12:],
        encoded()[:33]
        + chunk(b"tEXt", b"Raw profile type exif\0\nexif\n1\n" + overlapping_tags(5000, 64_000).hex().encode())
        + encoded()[33:],
    ],
)
def test_tags_that_name_the_same_bytes_take_no_memory_here(bomb):
    tracemalloc.start()
    with contextlib.suppress(ImageError):
        decode_picture(bomb, "it")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_a_picture_with_a_few_tags_is_plain():
    assert is_plain(with_segments(b"\xff\xe1", b"Exif\0\0", overlapping_tags(10, 2000)))


def test_a_jpeg_of_many_scans_is_refused_at_once():
    data = scans_repeated(encoded("JPEG", Image.new("RGB", (4000, 4000), "red"), progressive=True), 1500)
    start = time.perf_counter()
    with pytest.raises(ImageError, match=f"it has more than {MAX_SCANS} scans"):
        decode_picture(data, "it")
    assert time.perf_counter() - start < 1


def test_scans_are_counted_as_the_decoder_finds_them():
    data = encoded("JPEG", progressive=True)
    assert is_plain(data + b"\xff\xda" * 1000), "what follows the end is no scan"
    filled = data.replace(b"\xff\xda", b"\xff\xff\xff\xda")
    with pytest.raises(ImageError, match="scans"):
        is_plain(scans_repeated(filled, 200))
    with pytest.raises(ImageError, match="scans"):
        is_plain(scans_repeated(data.replace(b"\xff\xda", b"garbage\xff\xda"), 200))


def test_many_scans_of_a_large_picture_are_not_plain():
    data = encoded("JPEG", Image.new("RGB", (3000, 3000), "red"), progressive=True)
    assert is_plain(data) is False and decode_picture(data, "it").shape == (3000, 3000, 3)


def test_what_takes_too_long_is_ended_and_the_next_is_read():
    data = scans_repeated(encoded("JPEG", Image.new("RGB", (5000, 5000), "red"), progressive=True), 85)
    start = time.perf_counter()
    with pytest.raises(ImageError, match=r"it takes more than 0.2 s to decode"):
        decode_picture(data, "it", seconds=0.2)
    assert time.perf_counter() - start < 3
    assert decode_picture(encoded("WEBP"), "it").shape == PIXELS.shape


@pytest.mark.slow
def test_a_process_that_waits_for_its_turn_takes_no_seconds():
    process = picture_decoding._Process()
    os.kill(process._process.pid, signal.SIGSTOP)
    threading.Timer(2.5, os.kill, (process._process.pid, signal.SIGCONT)).start()
    try:
        found = process.decode(encoded("WEBP", lossless=True), FORMATS, 1, "rgb", 2.0)
    finally:
        process.kill()
    assert np.array_equal(found, PIXELS)


def test_what_takes_too_much_memory_is_refused_and_the_next_is_read():
    wide = encoded("TIFF", Image.new("I;16", (8000, 8000)), compression="tiff_deflate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_decoding, "MAX_MEGAPIXELS", 1)
        patch.setattr(picture_decoding._Process, "decode", starved(picture_decoding._Process.decode))
        with pytest.raises(ImageError, match=r"memory|crashed|damaged"):
            decode_picture(wide, "it")
    assert decode_picture(encoded("WEBP"), "it").shape == PIXELS.shape


def starved(decode):
    """`decode` in a process that has room for 70 of the 64 million pixels it is given."""

    def run(self, data, formats, max_megapixels, form, seconds):
        import resource

        bound = (600 * 2**20, 600 * 2**20)
        resource.prlimit(self._process.pid, resource.RLIMIT_AS, bound)
        return decode(self, data, formats, max_megapixels, form, seconds)

    return run


def test_a_decoder_that_crashes_is_one_error():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_decoding._POOL, "_idle", [dying := picture_decoding._Process()])
        dying._process.kill()
        with pytest.raises(ImageError, match="it is damaged: its decoder crashed"):
            decode_picture(encoded("WEBP"), "it")
        assert decode_picture(encoded("WEBP"), "it").shape == PIXELS.shape


def test_after_a_fork_each_process_has_decoders_of_its_own():
    decode_picture(encoded("WEBP"), "it")
    child = os.fork()
    if child == 0:
        os._exit(0 if decode_picture(encoded("WEBP"), "it").shape == PIXELS.shape else 1)
    assert decode_picture(encoded("WEBP"), "it").shape == PIXELS.shape
    assert os.waitpid(child, 0)[1] == 0


def test_from_many_threads_each_gets_its_own():
    shades = [encoded("WEBP", Image.new("RGB", (8, 8), (value,) * 3), lossless=True) for value in range(12)]
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda data: int(decode_picture(data, "it")[0, 0, 0]), shades))
    assert found == list(range(12))


def test_who_will_not_wait_for_others_is_told_to_come_later(monkeypatch):
    monkeypatch.setattr(picture_decoding, "MAX_PROCESSES", 1)
    pool = picture_decoding._Pool()
    begun, go = threading.Event(), threading.Event()

    def hold():
        with pool._turn(None):
            begun.set()
            go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(10)
    with pytest.raises(DecoderBusy, match="try again later"):
        pool.decode(encoded("WEBP"), FORMATS, 1, "rgb", 1, 0.1)
    go.set()
    holder.join()


HEAD = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
BODY = chunk(b"IDAT", zlib.compress(bytes(4 * 13)))
END = chunk(b"IEND", b"")
BOMB = zlib.compress(bytes(2**22))
HOSTILE = {
    "text bomb after the pixels": HEAD + BODY + chunk(b"zTXt", b"a\0\0" + BOMB) + END,
    "international text bomb": HEAD + BODY + chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB) + END,
    "many texts": HEAD + BODY + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**19))) * 200 + END,
    "profile bomb": HEAD + chunk(b"iCCP", b"a\0\0" + BOMB) + BODY + END,
    "truncated IHDR": chunk(b"IHDR", b"\0\0\0\4") + BODY + END,
    "zeroed fcTL": HEAD + chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(26)) + BODY + END,
    "no frames": HEAD + chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", bytes(26)) + END,
    "no pixels": chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0)) + BODY + END,
    "unknown bit depth": chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 99, 9, 9, 9, 9)) + BODY + END,
    "empty chunks": HEAD + chunk(b"IDAT", b"") * 100_000 + BODY + END,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pngs_are_read_or_refused_in_time(name):
    start = time.perf_counter()
    try:
        assert decode_picture(b"\x89PNG\r\n\x1a\n" + HOSTILE[name], "it").shape == (4, 4, 3)
    except ImageError as error:
        assert str(error).startswith("it ")
    assert time.perf_counter() - start < 5


def mutated(data, dice):
    """The file with bytes changed, cut, repeated, zeroed or left out."""
    content = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        start = dice.randrange(len(content))
        stop = min(len(content), start + dice.choice((1, 2, 4, 16, 200)))
        act = dice.randrange(6)
        if act == 0:
            content[start] ^= 1 << dice.randrange(8)
        elif act == 1:
            content[start:stop] = dice.randbytes(stop - start)
        elif act == 2:
            del content[start:stop]
        elif act == 3:
            content[start:stop] = bytes(stop - start)
        elif act == 4:
            content[start:start] = content[start:stop] * dice.choice((1, 3, 50))
        elif len(content) > 40:
            del content[max(40, start) :]
    return bytes(content)


def fuzz(kind, count, formats):
    """How many of `count` mutated files are read; each other is one ImageError, in time."""
    dice, whole, num_read = random.Random(kind), encoded(kind), 0
    for _ in range(count):
        data = mutated(whole, dice)
        start = time.perf_counter()
        try:
            num_read += decode_picture(data, "it", formats=formats, max_megapixels=2, seconds=5).size > 0
        except ImageError as error:
            assert str(error).startswith("it ") and str(error).endswith("."), error
        assert time.perf_counter() - start < 10
    return num_read


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_picture_is_read_or_an_error_of_ours(kind):
    num_read = fuzz(kind, FEW, FORMATS)
    assert num_read == 0 or kind in FORMATS


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_mutated_pictures_are_read_or_errors_of_ours(kind):
    """All formats are let in: what Pillow raises in any of them is one error."""
    num_read = fuzz(kind, MANY, KINDS)
    print(f"{kind}: {num_read} of {MANY} read")


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1), (3, 100_000)])
def test_a_line_of_pixels_is_fitted_without_a_wall_of_them(size):
    picture = np.full((size[1], size[0], 3), 7, dtype=np.uint8)
    assert (fit(picture, 240, 160) == 7).all()
