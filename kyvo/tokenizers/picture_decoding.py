"""Decoding a picture file of unknown origin: bytes -> uint8 [H, W, 3], in bounded time and memory, or an ImageError.

A plain file (`kyvo.tokenizers.picture_headers`) is decoded here. Any other is decoded in a process of its own, which
may take so many seconds and bytes, is ended where it takes more, and may crash as it likes. Such a process starts when
it is first needed and is used again. Run as a program, this file is that process:

    one line of JSON with the settings, the file   ->   one line of JSON with the shape or the error, the pixels
"""

import atexit
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from kyvo.errors import ImageError
from kyvo.tokenizers.picture_headers import is_plain, may_be

Form = Literal["rgb", "rgba", "texture"]

# Pillow has readers that start other programs; AVIF is in its newer versions.
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    *(["AVIF"] if "avif" in features.modules and features.check("avif") else []),
)
MAX_MEGAPIXELS = 100
_GREY_STEPS = {"1": 255, "L;2": 85, "L;4": 17}  # Pillow's raw modes of fewer than 8 bits -> a step in 0 to 255
SECONDS = 20.0  # of the processor, for a file that is not plain
BUSY = 6  # times as long a file may take on the clock: the machine may have other work
MAX_PROCESSES = 2
MAX_HERE = 2  # plain files decoded at a time: one of 50 megapixels takes 150 MB
_BASE_MEMORY = 2**29  # bytes of the process without a picture
_PIXEL_MEMORY = 24  # bytes a pixel: 16-bit grey is scaled as float64
_UPRIGHT = {  # by the orientation that EXIF tells
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DecoderBusy(ImageError):
    """As many files are being decoded as may be; the same one can be read later."""


def decode_picture(
    data: bytes,
    name: str = "the picture",
    *,
    formats: Sequence[str] = FORMATS,
    max_megapixels: float = MAX_MEGAPIXELS,
    seconds: float = SECONDS,
    patience: float | None = None,
    form: Form = "rgb",
) -> np.ndarray:
    """The picture as sRGB uint8 [H, W, 3], upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit pictures are converted (16 bits are scaled by 257, not clipped); transparency is
    composited on white; of an animation the first frame is read.

    Args:
        name: what messages call the picture.
        formats: Pillow's names of those that are read.
        max_megapixels: decided from the header before any pixel is decoded.
        seconds: that a file may take which is not plain.
        patience: seconds that such a file waits for its turn; by default as long as it takes.
        form: "rgb" has transparency composited on white; "rgba" has straight alpha, uint8 [H, W, 4], 255 where the file
            has none; "texture" has the colors without transparency, rows as they are stored, not turned upright.

    Raises:
        ImageError: the data are no picture, are damaged, or take more than they may.
        DecoderBusy: the turn did not come in time.
    """
    try:
        if not may_be(data, formats):
            raise ImageError(_unknown(formats))
        if is_plain(data):
            with _HERE:
                return _decode(data, formats, max_megapixels, form)
        return _POOL.decode(data, formats, max_megapixels, form, seconds, patience)
    except DecoderBusy:
        raise
    except ImageError as error:
        raise ImageError(f"{name} {error}") from error


def _decode(data: bytes, formats: Sequence[str], max_megapixels: float, form: Form) -> np.ndarray:
    """Raises ImageError, without a name, for whatever goes wrong: Pillow's readers raise errors of any kind."""
    limit = f"the limit is {max_megapixels:g} megapixels. Scale it down first."
    try:
        # Pillow warns of and then refuses large pictures by limits of its own; ours is checked just below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=tuple(formats)) as image:
                width, height = image.size
                if width * height > max_megapixels * 1e6:
                    found = f"{width}x{height} px ({width * height / 1e6:,.0f} megapixels)"
                    raise ImageError(f"is too large: {found}; {limit}")
                if width * height == 0:
                    raise ImageError(f"has no pixels: it is {width}x{height}.")
                _mend_transparency(image)
                image.load()
                if form == "texture":
                    return to_rgb(image, transparency=False)
                turned = _UPRIGHT.get(image.getexif().get(0x0112, 1))
                upright = image if turned is None else image.transpose(turned)
                return _to_rgba(upright) if form == "rgba" else to_rgb(upright)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        # Pillow refuses the largest in `open` and tells only the number of pixels, in its message.
        num_pixels = int("".join(filter(str.isdigit, str(error).partition("pixels")[0])))
        raise ImageError(f"is too large: {num_pixels / 1e6:,.0f} megapixels; {limit}") from error
    except UnidentifiedImageError as error:
        raise ImageError(_unknown(formats)) from error
    except MemoryError as error:
        raise ImageError("takes more memory to decode than it may.") from error
    except Exception as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ImageError(f"is truncated or damaged: {reason[:200]}. Save or download it again.") from error


def _unknown(formats: Sequence[str]) -> str:
    return f"is not a picture of a kind that is read here: {', '.join(formats)}."


def _mend_transparency(image: Image.Image) -> None:
    """Brings the transparent colour of a PNG to the scale of its pixels, which Pillow leaves at that of the file."""
    color = image.info.get("transparency")
    tile = getattr(image, "tile", None)  # of a file that is not decoded yet
    if image.format != "PNG" or not tile or isinstance(color, bytes) or color is None:
        return
    mode = tile[0][3]
    if mode in _GREY_STEPS:
        image.info["transparency"] = color * _GREY_STEPS[mode]
    elif mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in color)


def to_rgb(image: Image.Image, *, transparency: bool = True) -> np.ndarray:
    """Any mode of Pillow's as RGB uint8 [H, W, 3]; transparency on white, or left out."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        # Pillow opens 16-bit grey as I;16 or I by format and version: both hold 0 to 65,535.
        grey = values / 257.0 if image.mode != "F" else values * (255.0 if values.max() <= 1.0 else 1.0)
        grey = np.nan_to_num(grey, nan=0.0)
        if transparency and isinstance(image.info.get("transparency"), int):
            grey[values == image.info["transparency"]] = 255.0
        return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if transparency and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _to_rgba(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    rgb = to_rgb(image)
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)


class _Pool:
    """The processes, at most MAX_PROCESSES; each decodes one file at a time. For any thread."""

    def __init__(self) -> None:
        self._idle: list[_Process] = []
        self._room = threading.BoundedSemaphore(MAX_PROCESSES)

    def decode(
        self,
        data: bytes,
        formats: Sequence[str],
        max_megapixels: float,
        form: Form,
        seconds: float,
        patience: float | None = None,
    ) -> np.ndarray:
        with self._turn(patience):
            process = self._idle.pop() if self._idle else _Process()
            try:
                picture = process.decode(data, formats, max_megapixels, form, seconds)
            except _Ended as error:
                process.kill()
                raise ImageError(str(error)) from error
            except ImageError:
                self._idle.append(process)
                raise
            except BaseException:
                process.kill()
                raise
            self._idle.append(process)
            return picture

    @contextlib.contextmanager
    def _turn(self, patience: float | None) -> Iterator[None]:
        if not self._room.acquire(timeout=patience):
            raise DecoderBusy("too many pictures are being decoded; try again later.")
        try:
            yield
        finally:
            self._room.release()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().kill()


class _Ended(Exception):
    """The process is gone, or must go."""


class _Process:
    def __init__(self) -> None:
        paths = [entry or os.getcwd() for entry in sys.path]  # what this process can import, that one can
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
        )

    def decode(
        self, data: bytes, formats: Sequence[str], max_megapixels: float, form: Form, seconds: float
    ) -> np.ndarray:
        """Raises _Ended where the process did not survive it, ImageError where it tells what is wrong."""
        assert self._process.stdin is not None and self._process.stdout is not None
        head = {"size": len(data), "formats": list(formats), "max_megapixels": max_megapixels, "form": form}
        late, done = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, args=(seconds, late, done), daemon=True).start()
        try:
            _write(self._process.stdin, head, data)
            answer, pixels = _read(self._process.stdout)
        except (OSError, ValueError) as error:
            if late.is_set():
                raise _Ended(f"takes more than {seconds:g} s to decode. Save it again as a PNG.") from error
            raise _Ended("is damaged: its decoder crashed. Save or download it again.") from error
        finally:
            done.set()
        if "error" in answer:
            raise ImageError(answer["error"])
        return np.frombuffer(pixels, dtype=np.uint8).reshape(answer["shape"])

    def _watch(self, seconds: float, late: threading.Event, done: threading.Event) -> None:
        """Ends the process once it has taken so many seconds of the processor, or BUSY times as many on the clock."""
        import psutil  # the process itself needs none

        def spent() -> float:
            times = psutil.Process(self._process.pid).cpu_times()
            return times.user + times.system

        with contextlib.suppress(psutil.NoSuchProcess):
            before, began = spent(), time.monotonic()
            while not done.wait(min(seconds / 10, 0.5)):
                if spent() - before > seconds or time.monotonic() - began > BUSY * seconds:
                    late.set()
                    self._process.kill()
                    return

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent is lost
                    pipe.close()


def _write(file: IO[bytes], head: dict[str, Any], content: bytes | memoryview) -> None:
    file.write(json.dumps(head).encode() + b"\n")
    file.write(content)
    file.flush()


def _read(file: IO[bytes]) -> tuple[dict[str, Any], bytearray]:
    """What `_write` wrote. Raises ValueError or EOFError where the other side is gone."""
    head = json.loads(file.readline())
    content = bytearray(head["size"])
    if file.readinto(content) < len(content):  # type: ignore[attr-defined]
        raise ValueError("the other side is gone")
    return head, content


def _limit_memory(max_megapixels: float) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # where the system has no such limit
        import resource

        most = _BASE_MEMORY + int(_PIXEL_MEMORY * max_megapixels * 1e6)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _serve(inputs: IO[bytes], outputs: IO[bytes]) -> None:
    """Decodes file after file until the other side is gone."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)
    with contextlib.suppress(ValueError):
        while True:
            _serve_one(inputs, outputs)


def _serve_one(inputs: IO[bytes], outputs: IO[bytes]) -> None:
    """One file; nothing of it is held until the next. Raises ValueError where the other side is gone."""
    head, data = _read(inputs)
    _limit_memory(head["max_megapixels"])
    try:
        settings = head["formats"], head["max_megapixels"], head["form"]
        picture = np.ascontiguousarray(_decode(bytes(data), *settings))
    except ImageError as error:
        _write(outputs, {"size": 0, "error": str(error)}, b"")
    else:
        _write(outputs, {"size": picture.nbytes, "shape": picture.shape}, picture.data)


_POOL = _Pool()
_HERE = threading.BoundedSemaphore(MAX_HERE)


def _forget() -> None:
    """After a fork the processes are the parent's: two that write into one pipe garble it."""
    global _POOL, _HERE
    _POOL, _HERE = _Pool(), threading.BoundedSemaphore(MAX_HERE)


atexit.register(lambda: _POOL.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
