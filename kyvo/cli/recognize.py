"""`kyvo recognize`: pictures -> scene JSON."""

from pathlib import Path
from typing import Annotated

import typer


def recognize(
    images: Annotated[list[Path], typer.Argument(help="pictures of any size and common format")],
    out: Annotated[Path, typer.Option(help="folder for <stem>.json and manifest.jsonl")],
    model: Annotated[str, typer.Option(help="a bundled model's name, or a model folder")] = "mini",
    batch_size: Annotated[int, typer.Option(min=1, help="pictures decoded together")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace scene files that exist")] = False,
) -> None:
    """Write the scene in each picture as JSON, and a manifest line for each input.

    Exit code 0: all done; 1: some failed, the manifest says which and why; 2: wrong usage.
    """
    from rich.console import Console
    from rich.progress import Progress

    from kyvo.batch import ManifestLine, recognize_files
    from kyvo.cli.model import load_model

    console = Console(stderr=True)
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file; name a folder.", param_hint="--out")
    loaded = load_model(model, device)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("recognize", total=len(images))

        def report(line: ManifestLine) -> None:
            progress.advance(bar)
            if line.error:
                console.print(f"failed: {line.error}", style="red", markup=False, highlight=False, soft_wrap=True)

        lines = recognize_files(loaded, images, out, batch_size=batch_size, overwrite=overwrite, report=report)
    failed = sum(line.status == "failed" for line in lines)
    print(f"{len(lines) - failed} of {len(lines)} pictures recognised; scenes and manifest.jsonl are in {out}")
    if failed:
        raise typer.Exit(1)
