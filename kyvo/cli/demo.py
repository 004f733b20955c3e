"""`kyvo demo`: the bundled pictures, recognised: scene JSON, and one sheet to look at; a mesh to tokens and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


def demo(
    out: Annotated[Path, typer.Option(help="folder for the scenes and the sheet")] = Path("out/demo"),
    model: Annotated[str, typer.Option(help="a bundled model's name, or a model folder")] = "mini",
) -> None:
    """Recognise the bundled sample pictures, write their scenes, and draw one contact sheet; send a mesh round trip."""
    from importlib.resources import files

    from rich.console import Console
    from rich.table import Table

    from kyvo.batch import recognize_files
    from kyvo.cli.model import load_model
    from kyvo.data.clevr import render_scenes
    from kyvo.export.sheet import contact_sheet, draw_scene, enlarge
    from kyvo.metrics.scenes import mean_jaccard
    from kyvo.scene.files import load_scene
    from kyvo.scene.schema import clevr_camera
    from kyvo.tokenizers.image import fit
    from kyvo.tokenizers.pictures import read_picture

    samples = sorted((Path(str(files("kyvo"))) / "assets" / "samples").glob("*.png"))
    loaded = load_model(model)
    recognize_files(loaded, samples, out, overwrite=True)

    console = Console()
    width, height = loaded.processor.image.config.width, loaded.processor.image.config.height
    rows, scenes = [], []
    for path in samples:
        scene = load_scene(out / f"{path.stem}.json")
        picture = fit(read_picture(path), width, height)
        again = render_scenes([scene], width=width, height=height)[0]
        rows.append([enlarge(picture, 3), draw_scene(picture, scene, clevr_camera(width, height)), enlarge(again, 3)])
        scenes.append(scene)
        table = Table("size", "color", "material", "shape", "x", "y", "z", "confidence", title=path.name)
        for item in scene.objects:
            x, y, z = item.location or (float("nan"),) * 3
            sure = "" if item.confidence is None else f"{item.confidence:.2f}"
            table.add_row(item.size, item.color, item.material, item.shape, f"{x:.2f}", f"{y:.2f}", f"{z:.2f}", sure)
        console.print(table)
    contact_sheet(rows, ("picture", "recognised objects", "the recognised scene, ray-traced")).save(out / "sheet.png")
    truths = [load_scene(path.with_suffix(".json")) for path in samples]
    scores = mean_jaccard(scenes, truths)
    console.print(f"{len(samples)} pictures; mean Jaccard against their true scenes {scores.jaccard:.3f}")
    console.print(f"scenes: {out}/*.json   sheet: {out}/sheet.png", soft_wrap=True)
    round_trip(samples[0].parent / "chair.glb", out / "mesh.png", console)


def round_trip(path: Path, picture: Path, console: "Console") -> None:
    """The mesh to shape tokens and back, drawn before and after; what that needs may be missing on a bare machine."""
    from kyvo.extras import MissingDependency
    from kyvo.shapes.mesh import load_shape
    from kyvo.shapes.pictures import save_picture
    from kyvo.shapes.roundtrip import RoundTrip
    from kyvo.shapes.tokenizer import ShapeTokenizer

    try:
        trip = RoundTrip.of(load_shape(path), ShapeTokenizer.from_pretrained("mini"))
    except MissingDependency as error:
        console.print(f"no mesh round trip: {error}", markup=False, soft_wrap=True)
        return
    scores = trip.scores()
    save_picture(trip.sheet(scores), picture)
    kept = scores["tokens"]
    console.print(
        f"{path.name} -> {len(trip.codes)} shape tokens -> mesh: F-score at 0.05 {kept.f_score:.3f}, "
        f"PSNR of views {kept.psnr:.1f} dB   picture: {picture}",
        soft_wrap=True,
    )
