"""`kyvo demo`: the four tasks on the bundled pictures: scene JSON, one sheet to look at; a mesh to tokens and back."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kyvo.cli.console import PlainConsole
    from kyvo.scene.scene import Scene

ASKED = {  # of each bundled picture: an instruction, a question and its true answer
    "clevr_0": (
        "Turn the cyan metal cylinder into a blue one.",
        "Apart from the small sphere, can you see any brown objects that share its material?",
        "yes",
    ),
    "clevr_1": (
        "Get rid of the large object in front of the large gray rubber cube.",
        "Name the material of the red sphere.",
        "metal",
    ),
    "clevr_2": (
        "Add a small blue rubber cube 3 units to the left of the large gray rubber sphere.",
        "Name the color of the rubber sphere behind the metal cylinder.",
        "gray",
    ),
    "clevr_3": (
        "Update the yellow metal sphere: its size is now small.",
        "Is one material common to the purple cylinder and the small green cube?",
        "yes",
    ),
    "clevr_4": (
        "Pick up the large gray cylinder and set it down 3 units in front of the cyan object.",
        "Put the small rubber spheres and the gray cylinders into one group. How many does it hold?",
        "2",
    ),
    "clevr_5": (
        "Find the cylinder that stands to the right of the yellow rubber object and give it a new material: metal.",
        "What form is the large yellow rubber thing: cube, sphere or cylinder?",
        "cube",
    ),
}
SHEET_WIDTH = 480  # px of a picture on the sheet, about
TITLES = (
    "picture",
    "recognised objects",
    "the recognised scene, ray-traced",
    "the same, rendered by the model",
    "after an instruction, ray-traced",
)


def demo(
    out: Annotated[Path, typer.Option(help="folder for the scenes and the sheet")] = Path("out/demo"),
    model: Annotated[str, typer.Option(help="a bundled model's name, or a model folder")] = "mini",
) -> None:
    """Recognise the bundled pictures, render and edit their scenes, answer a question on each; send a mesh round trip.

    Writes the scenes and one sheet.
    """
    from importlib.resources import files

    from kyvo.batch import recognize_files
    from kyvo.cli.console import PlainConsole
    from kyvo.cli.model import load_model
    from kyvo.data.clevr.sampling import render_scenes
    from kyvo.data.language.edit_phrases import parse
    from kyvo.data.language.edits import execute
    from kyvo.export.sheet import contact_sheet, draw_scene, enlarge
    from kyvo.files import write_picture
    from kyvo.metrics.scenes import mean_jaccard
    from kyvo.scene.files import load_scene
    from kyvo.scene.schema import clevr_camera
    from kyvo.tokenizers.image import fit
    from kyvo.tokenizers.pictures import read_picture

    samples = sorted((Path(str(files("kyvo"))) / "assets" / "samples").glob("*.png"))
    instructions, questions, answers = zip(*(ASKED[path.stem] for path in samples), strict=True)
    loaded = load_model(model)
    recognize_files(loaded, samples, out, overwrite=True)
    scenes = [load_scene(out / f"{path.stem}.json") for path in samples]

    edited = [loaded.edit(scene, text, render=False).scene for scene, text in zip(scenes, instructions, strict=True)]
    said = [loaded.ask(scene, text).text for scene, text in zip(scenes, questions, strict=True)]
    width, height = loaded.processor.image.config.decoded_size
    factor = max(1, SHEET_WIDTH // width)
    drawn = render_scenes([*scenes, *edited], width=width, height=height)
    columns = zip(drawn[: len(scenes)], loaded.render(scenes), drawn[len(scenes) :], strict=True)

    console = PlainConsole()
    rows = []
    for index, (path, scene, pictures) in enumerate(zip(samples, scenes, columns, strict=True)):
        picture = fit(read_picture(path), width, height)
        camera = (scene.camera or clevr_camera(width, height)).resized(width, height)
        boxes = draw_scene(picture, scene, camera, factor=factor)
        rows.append([enlarge(picture, factor), boxes, *(enlarge(one, factor) for one in pictures)])
        show(scene, path.name, console)
        console.print(f"{instructions[index]}\n{questions[index]} {said[index]}", soft_wrap=True)
    captions = [
        ["", f"{question} {answer}", "", "", instruction]
        for question, answer, instruction in zip(questions, said, instructions, strict=True)
    ]
    write_picture(out / "sheet.png", contact_sheet(rows, TITLES, captions=captions))
    truths = [load_scene(path.with_suffix(".json")) for path in samples]
    wanted = [execute(parse(instruction), truth) for instruction, truth in zip(instructions, truths, strict=True)]
    right = sum(ours == true for ours, true in zip(said, answers, strict=True))
    console.print(
        f"{len(samples)} pictures; mean Jaccard against their true scenes {mean_jaccard(scenes, truths).jaccard:.3f}, "
        f"after the edits {mean_jaccard(edited, wanted).jaccard:.3f}; {right} answers right",
        soft_wrap=True,
    )
    console.print(f"scenes: {out}/*.json   sheet: {out}/sheet.png", soft_wrap=True)
    round_trip(samples[0].parent / "chair.glb", out / "mesh.png", console)


def show(scene: "Scene", title: str, console: "PlainConsole") -> None:
    """The scene's objects as a table."""
    from rich.table import Table

    table = Table("size", "color", "material", "shape", "x", "y", "z", "confidence", title=title)
    for item in scene.objects:
        x, y, z = item.location or (float("nan"),) * 3
        sure = "" if item.confidence is None else f"{item.confidence:.2f}"
        table.add_row(item.size, item.color, item.material, item.shape, f"{x:.2f}", f"{y:.2f}", f"{z:.2f}", sure)
    console.print(table)


def round_trip(path: Path, picture: Path, console: "PlainConsole") -> None:
    """The mesh to shape tokens and back, drawn before and after; the last line says what would draw it faster."""
    from kyvo.data.meshes import rays
    from kyvo.extras import MissingDependency, import_open3d
    from kyvo.files import write_picture
    from kyvo.shapes.mesh import load_shape
    from kyvo.shapes.roundtrip import RoundTrip
    from kyvo.shapes.tokenizer import ShapeTokenizer

    warnings = logging.getLogger(rays.__name__)
    warnings.disabled = True  # the last line says the same
    try:
        trip = RoundTrip.of(load_shape(path), ShapeTokenizer.from_pretrained("mini"))
        scores = trip.scores()
        write_picture(picture, trip.sheet(scores))
    finally:
        warnings.disabled = False
    kept = scores["tokens"]
    console.print(
        f"{path.name} -> {len(trip.codes)} shape tokens -> mesh: F-score at 0.05 {kept.f_score:.3f}, "
        f"PSNR of views {kept.psnr:.1f} dB   picture: {picture}",
        soft_wrap=True,
    )
    try:
        import_open3d()
    except MissingDependency as error:
        console.print(f"The mesh was drawn without Open3D, the slow way. {error}", soft_wrap=True)
