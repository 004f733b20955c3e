"""Many pictures -> their scenes, and a manifest that says how each of them went.

Bad input never loses other work: whatever is wrong with one picture is a line in the manifest, and the rest goes on.
Pictures are read and scaled by a thread beside the model, two batches ahead of it; a run that was killed has lost no
more than the batch that it was at, and goes on from there (`resume`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from kyvo.api import Kyvo
from kyvo.batch.inputs import Item, find_pictures
from kyvo.batch.outputs import InFlight, Manifest, ManifestLine, SceneFiles, SceneLines, open_outputs
from kyvo.errors import ConfigError, KyvoError
from kyvo.files import locked, make_folder
from kyvo.scene.files import camera_to_json
from kyvo.scene.scene import Camera, Scene
from kyvo.scene.schema import SceneSchema
from kyvo.scene.source import source_of
from kyvo.tokenizers.image import Fitted
from kyvo.tokenizers.pictures import read_picture


@dataclass(frozen=True, kw_only=True)
class RecognizedItem:
    """What became of one picture."""

    item: Item
    scene: Scene | None = None
    error: str | None = None
    seconds: float = 0.0
    picture_size: tuple[int, int] | None = None  # width and height of the file's picture, px
    size: int | None = None  # of the file, bytes
    mtime_ns: int | None = None


Recognizer = Callable[[Sequence[Item]], Iterable[list[RecognizedItem]]]  # in batches, in any order


def recognize_files(
    model: Kyvo,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    batch_size: int = 32,
    camera: Camera | None = None,
    format: str = "kyvo",
    min_confidence: float = 0.0,
    strict: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[ManifestLine], None] = lambda line: None,
) -> list[ManifestLine]:
    """Recognises the pictures of files, folders and patterns (`find_pictures`) and writes `write_scenes`' files.

    Args:
        batch_size: pictures decoded together.
        camera: that took all of the pictures, where it is known; places are exact then.
        format: one of `kyvo.batch.outputs.FORMAT_NAMES`.
        min_confidence: objects below it are left out and counted.
        strict: a picture that is like none that the model knows fails, and no scene is written of it.
        resume: pass over what the manifest has as done, unchanged and under these settings.
        overwrite: replace outputs that exist; without it such an input fails and the file stays.
        report: called with each line as it is written.

    Raises:
        ConfigError: the format is unknown, or cannot hold this model's scenes.
        FileError: another process is writing into `out`, or its manifest cannot be written.
    """
    check_format(format, model.processor.schema)
    with locked(make_folder(out)):
        return write_scenes(
            find_pictures(inputs),
            partial(recognize_batches, model, batch_size=batch_size, camera=camera),
            out,
            model=model.name,
            camera=camera,
            format=format,
            min_confidence=min_confidence,
            strict=strict,
            resume=resume,
            overwrite=overwrite,
            report=report,
        )


def check_format(format: str, schema: SceneSchema) -> None:
    """Raises ConfigError where the format cannot hold scenes of this schema: before the work and not after it."""
    conventions = (schema.frame, schema.up_axis, schema.units)
    fits = {"clevr": ("world", "+z", "clevr"), "omni3d": ("camera", "-y", "m")}
    if conventions != fits.get(format, conventions):
        raise ConfigError(
            f"--format {format} holds scenes of {', '.join(fits[format])}; this model's have "
            f"{', '.join(conventions)}. Use --format kyvo or jsonl."
        )


def write_scenes(
    items: Sequence[Item],
    recognize: Recognizer,
    out: Path,
    *,
    model: str,
    camera: Camera | None = None,
    format: str = "kyvo",
    min_confidence: float = 0.0,
    strict: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[ManifestLine], None] = lambda line: None,
) -> list[ManifestLine]:
    """Recognises the items and writes each one's scene and its line of `out/manifest.jsonl`.

    Args:
        recognize: items -> what became of them; this machine's `recognize_batches`, or Ray's.
        model: the model's name: what another one did is not taken as done.

    The others are those of `recognize_files`.
    """
    outputs = open_outputs(out, format)
    out.mkdir(parents=True, exist_ok=True)
    manifest, in_flight = Manifest(out), InFlight(out)
    settings = {"model": model, "format": format, "min_confidence": min_confidence}
    if camera is not None:
        settings["camera"] = camera_to_json(camera)
    if strict:
        settings["strict"] = True
    ours = {(line.input, line.output) for line in manifest.done.values()}
    lines: list[ManifestLine] = []

    def write(line: ManifestLine) -> None:
        if line.status != "skipped":
            manifest.append(line)
        lines.append(line)
        report(line)

    waiting = []
    for item in items:
        known = (str(item.path), outputs.output(item.key)) in ours or item.key in in_flight.found
        if item.fault is not None:
            write(ManifestLine(input=str(item.path), status="failed", error=item.fault))
        elif resume and _is_done(manifest.done.get(str(item.path)), item, outputs, settings):
            write(replace(manifest.done[str(item.path)], status="skipped"))
        elif outputs.holds(item.key) and not overwrite and not (resume and known):
            error = (
                f"{item.path}: {out / outputs.output(item.key)} exists; pass --overwrite to replace it, --resume to "
                "go on with an earlier run, or name another folder."
            )
            write(ManifestLine(input=str(item.path), status="failed", error=error))
        else:
            waiting.append(item)
    for batch in recognize(waiting):
        in_flight.begin(found.item.key for found in batch)
        for found in batch:
            write(replace(_save(found, outputs, min_confidence, strict), settings=settings))
    outputs.close()
    in_flight.close()
    return lines


def recognize_batches(
    model: Kyvo, items: Iterable[Item], *, batch_size: int, camera: Camera | None = None
) -> Iterator[list[RecognizedItem]]:
    """What became of the items, a full batch of readable pictures at a time, with those that are not among them."""
    config = model.processor.image.config
    read = partial(_read, width=config.width, height=config.height)
    recognize = partial(_recognize, model, camera=camera)
    batch: list[RecognizedItem] = []
    pictures: list[Fitted] = []
    for found, picture in _ahead(read, items, count=2 * batch_size):
        batch.append(found)
        if picture is not None:
            pictures.append(picture)
        if len(pictures) == batch_size:
            yield recognize(batch, pictures)
            batch, pictures = [], []
    if batch:
        yield recognize(batch, pictures)


def _recognize(
    model: Kyvo, batch: list[RecognizedItem], pictures: list[Fitted], *, camera: Camera | None
) -> list[RecognizedItem]:
    start = time.perf_counter()
    cameras = None if camera is None else [camera] * len(pictures)
    scenes = iter(model.recognize(pictures, cameras=cameras) if pictures else [])
    seconds = round((time.perf_counter() - start) / max(len(pictures), 1), 4)
    return [found if found.error else replace(found, scene=next(scenes), seconds=seconds) for found in batch]


def _read(item: Item, *, width: int, height: int) -> tuple[RecognizedItem, Fitted | None]:
    """The picture at the model's size, which is what waits in memory."""
    try:
        size, mtime_ns = _stamp(item.path)
        picture = read_picture(item.path)
        shape = (picture.shape[1], picture.shape[0])
        fitted = Fitted.of(picture, width, height)
        return RecognizedItem(item=item, picture_size=shape, size=size, mtime_ns=mtime_ns), fitted
    except KyvoError as error:
        return RecognizedItem(item=item, error=str(error)), None


def _ahead(
    read: Callable[[Item], tuple[RecognizedItem, Fitted | None]], items: Iterable[Item], *, count: int
) -> Iterator[tuple[RecognizedItem, Fitted | None]]:
    """`map(read, items)` by a thread that is up to `count` items ahead."""
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kyvo-reader")
    waiting: deque[Future[tuple[RecognizedItem, Fitted | None]]] = deque()
    try:
        for item in items:
            waiting.append(reader.submit(read, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        reader.shutdown(cancel_futures=True)


def _stamp(path: Path) -> tuple[int | None, int | None]:
    """Size (bytes) and time (ns) of a file: what tells a changed one; None where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def _is_done(
    line: ManifestLine | None, item: Item, outputs: SceneFiles | SceneLines, settings: dict[str, object]
) -> bool:
    return (
        line is not None
        and line.output == outputs.output(item.key)
        and line.settings == settings
        and (line.size, line.mtime_ns) == _stamp(item.path)
        and outputs.holds(item.key)
    )


def _save(found: RecognizedItem, outputs: SceneFiles | SceneLines, min_confidence: float, strict: bool) -> ManifestLine:
    """Writes the scene; its line."""
    path, scene = found.item.path, found.scene
    line = ManifestLine(
        input=str(path), seconds=found.seconds, size=found.size, mtime_ns=found.mtime_ns, output=None, status="failed"
    )
    if scene is None:
        return replace(line, error=found.error)
    source = source_of(scene)
    note = "; ".join(source.notes) or None
    line = replace(line, note=note, in_domain=source.in_domain, warnings=list(source.warnings))
    if strict and line.warnings:
        return replace(line, error=f"{path}: {line.warnings[0]}")
    kept = tuple(item for item in scene.objects if item.confidence is None or item.confidence >= min_confidence)
    extra = dict(scene.extra)
    if outputs.output(found.item.key).endswith(".omni3d.json") and found.picture_size is not None:
        extra["image_size"] = list(found.picture_size)  # which the format needs
    try:
        outputs.save(found.item.key, replace(scene, objects=kept, image=path.name, extra=extra))
    except KyvoError as error:
        return replace(line, error=str(error))
    sure = [item.confidence for item in kept if item.confidence is not None]
    return replace(
        line,
        status="done",
        output=outputs.output(found.item.key),
        objects=len(kept),
        confidence=round(fmean(sure), 6) if sure else None,
        lowest_confidence=round(min(sure), 6) if sure else None,
        dropped=len(scene) - len(kept),
        truncated=bool(scene.extra.get("truncated", False)),
    )
