"""Headers of picture files: format and size are checked before any pixel is decoded.

A JPEG is decoded once for each of its scans, and a PNG may hold any number of chunks: 200 kB of either can cost a
minute. Pillow copies what each entry of a directory of tags names, and all entries may name the same bytes: 300 kB of
EXIF can take 6 GB. All of it is counted here without a decoder. Other formats are not judged: they are decoded under
limits (`kyvo.tokenizers.picture_decoding`).
"""

import re
import struct
from collections.abc import Iterator, Sequence

from kyvo.errors import ImageError

MAX_SCANS = 100  # of a JPEG; encoders write 1 to 20
MAX_PARTS = 1000  # segments of a JPEG or chunks of a PNG up to which a file is plain
MAX_TAGS = 2**14  # bytes of directories of tags up to which a file is plain: their copies take 22 MB
MAX_WORK = 50e6  # pixels times scans up to which a file is plain: half a second
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_BEGINNINGS = {
    "PNG": (_PNG,),
    "JPEG": (_JPEG,),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "WEBP": (b"RIFF",),
    "AVIF": tuple(bytes((0, 0, 0, size)) + b"ftypavi" for size in range(16, 128, 4)),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*"),
}
# Without compressed texts, which may grow a thousandfold, and animations.
_PLAIN_CHUNKS = frozenset(
    b"IHDR PLTE tRNS IDAT IEND gAMA cHRM sRGB iCCP sBIT bKGD pHYs tIME tEXt eXIf hIST sPLT cICP".split()
)
_TAG_CHUNKS = (b"eXIf", b"tEXt")  # Pillow reads EXIF from a text, too
_TAG_SEGMENTS = (b"Exif\0", b"MPF\0")
_MARKER = re.compile(rb"\xff+([^\xff\x00])", re.DOTALL)
_BARE = (*range(0xD0, 0xD9), 0x01)  # markers without a length
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SCAN, _END = 0xDA, 0xD9


def may_be(data: bytes, formats: Sequence[str]) -> bool:
    """Whether the file begins as one of these formats does; where that is not known of one, it may be that one."""
    return any(name not in _BEGINNINGS or data.startswith(_BEGINNINGS[name]) for name in formats)


def is_plain(data: bytes) -> bool:
    """Whether the file is a PNG or JPEG whose decoding takes memory and time in proportion to its few megapixels.

    Raises ImageError for a JPEG of too many scans.
    """
    if data.startswith(_PNG):
        return _is_plain_png(data)
    if data.startswith(_JPEG):
        return _is_plain_jpeg(data)
    return False


def _is_plain_png(data: bytes) -> bool:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return False
    width, height = struct.unpack(">II", data[16:24])
    start, count, tags = len(_PNG), 0, 0
    while start + 8 <= len(data):
        (length,) = struct.unpack(">I", data[start : start + 4])
        kind = data[start + 4 : start + 8]
        count += 1
        tags += length if kind in _TAG_CHUNKS else 0
        if kind not in _PLAIN_CHUNKS or count > MAX_PARTS or tags > MAX_TAGS:
            return False
        start += 12 + length
    return width * height <= MAX_WORK


def _is_plain_jpeg(data: bytes) -> bool:
    num_scans, pixels, tags, plain = 0, 0, 0, True
    for count, (marker, start) in enumerate(_segments(data)):
        if marker == _SCAN:
            num_scans += 1
        elif marker in _FRAMES:
            height, width = struct.unpack(">HH", data[start + 3 : start + 7].ljust(4, b"\0"))
            pixels = max(pixels, width * height)
            plain &= marker in _HUFFMAN_FRAMES
        elif data.startswith(_TAG_SEGMENTS, start + 2):
            tags += int.from_bytes(data[start : start + 2], "big")
        if num_scans > MAX_SCANS:
            raise ImageError(f"has more than {MAX_SCANS} scans, each of which draws all of it. Save it again.")
        plain &= count < MAX_PARTS
    return plain and tags <= MAX_TAGS and max(num_scans, 1) * pixels <= MAX_WORK


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker of a JPEG before its end and where its segment starts, found as libjpeg finds them."""
    place = 2
    while found := _MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == _END:
            return
        if marker in _BARE:
            continue
        yield marker, place
        place += max(2, int.from_bytes(data[place : place + 2], "big"))
