"""`kyvo generate scene`: the objects of one picture, each where it stands."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.cli.model import GeometryFolder
from kyvo.cli.numbers import read_numbers
from kyvo.errors import ConfigError, SceneError
from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.scene_source import MethodName, SceneSource

if TYPE_CHECKING:
    from kyvo.data.scene_pictures import ScenePicture
    from kyvo.scene.scene import Camera


def scene(
    out: Annotated[
        list[Path],
        typer.Option(help="A file to write: .json, .glb, .usda, .html, or .png for a sheet of views. Repeatable."),
    ],
    picture: Annotated[Path | None, typer.Argument(help="A picture of several objects.")] = None,
    text: Annotated[
        str | None,
        typer.Option(help="In place of a picture, for iscene: as 'a red cup on a brown table beside a chair'."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="A folder with a picture for each object, light where it is; a label picture; or the picture's scene "
            "JSON, whose outlines are taken."
        ),
    ] = None,
    recognizer: Annotated[
        str | None,
        typer.Option(help="In place of masks: a model, as mini, that recognises the scene; its outlines are taken."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="In place of masks: a box around an object, px. Repeatable."),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y", help="In place of masks: a point on an object, px; more of it after colons. Repeat."
        ),
    ] = None,
    segmenter: Annotated[
        Path | None, typer.Option(help="For boxes and points: a local folder of SAM, as transformers keeps it.")
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PICTURE=MASKS", help="For scenegen: another picture of the same objects, and its masks. Repeat."
        ),
    ] = None,
    method: Annotated[
        MethodName,
        typer.Option(
            help="scenegen, iscene, tokens, or a baseline: independent objects, or retrieval from a library. Tokens "
            "need no masks; those that are given name the objects."
        ),
    ] = MethodName.SCENEGEN,
    model: Annotated[
        str,
        typer.Option(
            help="Folder of the scene flow that was trained, or a bundled one's name; for tokens, of a model whose "
            "schema has shapes."
        ),
    ] = "mini",
    objects: Annotated[str, typer.Option(help="Generator of objects: a bundled one's name, or a folder.")] = "mini",
    geometry: GeometryFolder = None,
    library: Annotated[Path | None, typer.Option(help="For retrieval: a set of `kyvo data objects`.")] = None,
    resolution: Annotated[int, typer.Option(min=8, max=256, help="Of the library's grid.")] = 32,
    camera: Annotated[
        Path | None, typer.Option(help="For the baselines: a scene JSON with the picture's camera.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same scene.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Make the objects of a picture, or of a text, and place them.

    An object that cannot be made, or whose mask is no good, is left out with a note; the others are kept.

    Example: kyvo generate scene room.png --masks masks --model my_scenes --out scene.glb --out sheet.png
    """
    from kyvo.api import Kyvo
    from kyvo.cli.generate import _watching
    from kyvo.data.scene_pictures import ScenePicture, with_views, without_masks
    from kyvo.files import make_folder
    from kyvo.pipelines.scenes import generate_scene
    from kyvo.shapes.scene_files import check_outputs, write_scene
    from kyvo.shapes.scene_texts import SceneText
    from kyvo.shapes.tokenizer import ShapeTokenizer
    from kyvo.tokenizers.pictures import read_picture

    check_outputs(out)
    for path in out:
        if path.exists() and not force:
            raise SceneError(f"{path} exists; pass --force to overwrite.")
        make_folder(path.parent)
    if (picture is None) == (text is None):
        raise ConfigError("give a picture, or --text, one of the two.")
    source = SceneSource(
        flows=model,
        objects=ObjectSource(objects),
        library=library,
        resolution=resolution,
        geometry=geometry,
        recognition=lambda: Kyvo.from_pretrained(model).recognition,
    )
    given: ScenePicture | SceneText
    if picture is None:
        if any((masks, recognizer, box, point, segmenter, view, camera)) or method is not MethodName.ISCENE:
            raise ConfigError("--text goes with --method iscene, and with no option about a picture.")
        given, chosen = SceneText.of(text or ""), source.from_text()
    else:
        sources = sum(map(bool, (masks, recognizer, box or point)))
        if sources > 1 or (sources == 0 and method.needs_masks):
            raise ConfigError(
                "give --masks, --recognizer, or --box and --point, one of the three: it says what objects are."
            )
        if box or point:
            given = _prompted(picture, box or [], point or [], segmenter)
        elif segmenter is not None:
            raise ConfigError("--segmenter goes with --box and --point.")
        elif sources:
            given = _masked(picture, masks, recognizer)
        else:
            given = without_masks(read_picture(picture))
        given = with_views(given, [_other_view(words) for words in view or ()])
        chosen = source.get(method, camera=None if camera is None else _camera(camera, given))
    with _watching() as watch:
        made = generate_scene(chosen, given, seed=seed, progress=watch)
    wants_codes = any(path.suffix.lower() == ".json" for path in out)
    write_scene(made, out, picture=given, tokenizer=ShapeTokenizer.from_pretrained() if wants_codes else None)
    for words in made.warnings:
        typer.secho(f"note: {words}", fg="yellow", err=True)
    if as_json:
        about = {"method": made.method, "objects": [item.name for item in made.objects], "axes": made.axes}
        files = {"files": [str(path) for path in out], "warnings": list(made.warnings)}
        typer.echo(json.dumps({**files, **about, "seed": made.seed, "seconds": round(made.seconds, 3)}))
    else:
        noun = "object" if len(made.objects) == 1 else "objects"
        typer.echo(f"{len(made.objects)} {noun} in {made.seconds:.1f} s: {', '.join(map(str, out))}")


def _other_view(words: str) -> "ScenePicture":
    from kyvo.data.scene_pictures import read_scene_picture

    picture, _, masks = words.partition("=")
    if not masks:
        raise ConfigError(f"--view is {words!r}; it is a picture and its masks, as room2.png=masks2.")
    return read_scene_picture(picture, masks)


def _masked(picture: Path, masks: Path | None, recognizer: str | None) -> "ScenePicture":
    from kyvo.cli.model import load_model
    from kyvo.data.scene_pictures import read_scene_picture
    from kyvo.pipelines.scene_masks import masked_by_scene
    from kyvo.scene.files import load_scene
    from kyvo.tokenizers.pictures import read_picture

    if masks is not None and masks.suffix.lower() != ".json":
        return read_scene_picture(picture, masks)
    rgb = read_picture(picture)
    if masks is not None:
        return masked_by_scene(rgb, load_scene(masks))
    assert recognizer is not None
    return masked_by_scene(rgb, load_model(recognizer).recognize([rgb])[0])


def _prompted(picture: Path, boxes: Sequence[str], points: Sequence[str], segmenter: Path | None) -> "ScenePicture":
    from kyvo.models.segmenter import Prompt, Segmenter
    from kyvo.pipelines.scene_masks import masked_by_prompts
    from kyvo.tokenizers.pictures import read_picture

    prompts: list[Prompt] = []
    for text in boxes:
        x0, y0, x1, y1 = read_numbers(text, 4, option="--box", example="10,20,110,180")
        prompts.append(Prompt(box=(x0, y0, x1, y1)))
    for text in points:
        pairs = [read_numbers(pair, 2, option="--point", example="60,100") for pair in text.split(":")]
        prompts.append(Prompt(points=tuple((x, y) for x, y in pairs)))
    named = {str(number): prompt for number, prompt in enumerate(prompts)}
    network = None if segmenter is None else Segmenter.from_folder(segmenter)
    return masked_by_prompts(read_picture(picture), named, segmenter=network)


def _camera(path: Path, picture: "ScenePicture") -> "Camera":
    from kyvo.scene.files import load_scene
    from kyvo.scene.schema import camera_of

    height, width = picture.rgb.shape[:2]
    camera = camera_of(load_scene(path), width, height)
    if camera is None:
        raise SceneError(f"{path} has no camera; give a scene JSON with one.")
    return camera
