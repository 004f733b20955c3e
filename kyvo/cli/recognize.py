"""`kyvo recognize`: pictures -> scene JSON."""

import json
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kyvo.batch.outputs import ManifestLine


class Format(StrEnum):
    """What is written."""

    KYVO = "kyvo"
    CLEVR = "clevr"
    OMNI3D = "omni3d"
    JSONL = "jsonl"


class Engine(StrEnum):
    """Who shares out the batches."""

    LOCAL = "local"
    RAY = "ray"


def recognize(
    out: Annotated[
        Path, typer.Option(help="Folder for the scenes, in folders like the pictures', and manifest.jsonl.")
    ],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Pictures, folders (searched to their bottom), or quoted patterns such as 'photos/**/*.png'."
        ),
    ] = None,
    list_: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="More inputs, one a line; - reads standard input.")
    ] = None,
    model: Annotated[str, typer.Option(help="A bundled model's name, or a model folder.")] = "mini",
    format: Annotated[
        Format, typer.Option(help="JSON of this kind a picture; jsonl: all in scenes.jsonl, for kyvo evaluate.")
    ] = Format.KYVO,
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Leave out objects below it.")] = 0.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Pictures unlike those that the model knows fail, instead of a warning.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures decoded together.")] = 32,
    camera: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Scene JSON with the camera that took all pictures: places are exact then."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    engine: Annotated[Engine, typer.Option(help="This machine alone, or a Ray cluster.")] = Engine.LOCAL,
    workers: Annotated[int, typer.Option(min=1, help="Models at a time, with Ray.")] = 1,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue an earlier run: skip what its manifest has as done and unchanged."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write the scene in each picture as JSON, and a manifest line for each input.

    Exit code 0: all done; 1: some failed, the manifest says which and why; 2: wrong usage.

    Example: kyvo recognize photos --out scenes --resume
    """
    from functools import partial

    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from kyvo.batch.inputs import find_pictures, read_list
    from kyvo.cli.console import PlainConsole

    console = PlainConsole(stderr=True)
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file; name a folder.", param_hint="--out")
    inputs = [*(images or []), *(read_list(list_) if list_ is not None else [])]
    if not inputs:
        raise typer.BadParameter("no input: name pictures, folders or patterns, or a list of them with --list.")
    if engine is Engine.RAY:
        from kyvo.clusters import import_ray

        import_ray()  # what is missing is said before the work

    from kyvo.batch import check_format, recognize_batches, write_scenes
    from kyvo.cli.model import load_model
    from kyvo.files import locked, make_folder
    from kyvo.scene.files import load_scene

    taken = None if camera is None else load_scene(camera).camera
    if camera is not None and taken is None:
        raise typer.BadParameter(f"{camera} is a scene without a camera; docs/scene-format.md has the entry.")
    # With Ray the workers load it; here it is loaded to know that it is there, and what its scenes are.
    loaded = load_model(model, device if engine is Engine.LOCAL else "cpu")
    check_format(format.value, loaded.processor.schema)
    if taken is not None and loaded.processor.refiner is None:
        raise typer.BadParameter(
            f"the model {model} has no refiner, which places objects by it.", param_hint="--camera"
        )
    if engine is Engine.RAY:
        from kyvo.batch.ray import recognize_by_ray

        run = partial(recognize_by_ray, model=model, device=device, workers=workers)
    else:
        run = partial(recognize_batches, loaded)
    run = partial(run, batch_size=batch_size, camera=taken)

    started = time.perf_counter()
    items = find_pictures(inputs)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("recognize", total=len(items))

        def report(line: "ManifestLine") -> None:
            progress.advance(bar)
            if line.status == "failed":
                console.print(f"failed: {line.error}", style="red", soft_wrap=True)

        with locked(make_folder(out)):
            lines = write_scenes(
                items,
                run,
                out,
                model=loaded.name,
                camera=taken,
                format=format.value,
                min_confidence=min_confidence,
                strict=strict,
                resume=resume,
                overwrite=overwrite,
                report=report,
            )
    fitted = [line for line in lines if line.status == "done" and line.note]
    if fitted:
        are, first = "pictures are" if len(fitted) > 1 else "picture is", f"{fitted[0].input}: {fitted[0].note}"
        what = "of another shape or brightness than the model's"
        console.print(f"note: {len(fitted)} {are} {what}; the manifest has each, as {first}", soft_wrap=True)
    unlike = [line for line in lines if line.status in ("done", "skipped") and line.warnings]
    if unlike:
        warning = (
            f"warning: {len(unlike)} of {len(lines)} pictures may show no such scene; the first is {unlike[0].input}"
        )
        console.print(f"{warning}: {unlike[0].warnings[0]}", style="yellow", soft_wrap=True)
    counts = Counter(line.status for line in lines)
    dropped = sum(line.dropped for line in lines if line.status == "done")
    if as_json:
        summary = {
            "pictures": len(lines),
            **{status: counts[status] for status in ("done", "skipped", "failed")},
            "objects": sum(line.objects or 0 for line in lines if line.status == "done"),
            "dropped": dropped,
            "warned": len(unlike),
            "seconds": round(time.perf_counter() - started, 3),
            "out": str(out),
            "manifest": str(out / "manifest.jsonl"),
        }
        print(json.dumps(summary))
    else:
        also = f", {counts['skipped']} done before" if counts["skipped"] else ""
        also += f", {dropped} objects below {min_confidence:g} left out" if dropped else ""
        print(f"{counts['done']} of {len(lines)} pictures recognised{also}; scenes and manifest.jsonl are in {out}")
    if counts["failed"]:
        raise typer.Exit(1)
