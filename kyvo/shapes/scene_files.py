"""What a generated scene is written as: scene JSON with shape codes, GLB, USD and other 3D files, and a sheet.

Everything has the scene's own axes, z up; 3D files have theirs (`kyvo.export.primitives`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kyvo.data.meshes.assets import Asset
from kyvo.data.scene_pictures import ScenePicture
from kyvo.errors import ConfigError
from kyvo.export.formats import export_scene, format_of
from kyvo.export.sheet import contact_sheet
from kyvo.files import write_picture
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.mesh import normalized
from kyvo.shapes.pictures import SIZE, TURNS, side_views
from kyvo.shapes.placed import GeneratedScene, PlacedObject
from kyvo.shapes.scene_texts import SceneText
from kyvo.shapes.surfaces import colored_mesh, place_shapes, surface_asset
from kyvo.shapes.tokenizer import ShapeTokenizer

JSON, SHEET = ".json", ".png"  # the other endings are those of kyvo.export


def check_outputs(paths: Sequence[Path | str]) -> None:
    """Raises ConfigError for a file whose ending says no kind that is written, or one that would hold no mesh."""
    for path in map(Path, paths):
        if path.name.lower().endswith((".clevr.json", ".omni3d.json")):
            raise ConfigError(f"{path} would hold no shapes; name it .json, .glb, .usda, .html, .py or .png.")
        if path.suffix.lower() not in (JSON, SHEET):
            format_of(path)


def write_scene(
    made: GeneratedScene,
    paths: Sequence[Path | str],
    *,
    picture: ScenePicture | SceneText,
    tokenizer: ShapeTokenizer | None = None,
) -> None:
    """Writes the scene as each file's ending says.

    Args:
        tokenizer: gives the objects of a scene JSON their shape codes, where they have none.

    Raises:
        FileError: a file cannot be written.
        MissingDependency: a format's library is not installed.
    """
    scene = as_scene(made)
    shapes = {index: colored_mesh(item.surface) for index, item in enumerate(made.objects)}
    for path in map(Path, paths):
        if path.suffix.lower() == JSON:
            save_scene(scene if tokenizer is None else _with_codes(scene, made, tokenizer), path)
        elif path.suffix.lower() == SHEET:
            write_picture(path, scene_sheet(made, picture))
        else:
            export_scene(scene, path, meshes=place_shapes(scene, shapes))


def as_scene(made: GeneratedScene) -> Scene:
    """`location` is the centre of an object's cube, `scale` its side; how the scene was made stands in `generated`."""
    objects = []
    for item in made.objects:
        more = {"scale": item.pose.scale, "quaternion_wxyz": list(item.pose.quaternion_wxyz)}
        if item.category is not None:
            more["name"] = item.name
        objects.append(
            SceneObject(
                category=item.category or item.name,
                location=item.pose.translation,
                pose=item.pose.euler,
                shape_codes=item.shape_codes,
                extra=more,
            )
        )
    about = {"method": made.method, "axes": made.axes, "seed": made.seed, "warnings": list(made.warnings)}
    if made.query is not None:
        about["query"] = made.query
    return Scene(objects=tuple(objects), schema=made.schema, extra={"generated": about})


def _with_codes(scene: Scene, made: GeneratedScene, tokenizer: ShapeTokenizer) -> Scene:
    """The scene with codes of those objects that have none."""
    resolution = tokenizer.config.resolution
    lacking = [item for item in made.objects if item.shape_codes is None]
    latents = [surface_latent(normalized(surface_asset(item.surface)), resolution=resolution) for item in lacking]
    codes = iter(tokenizer.encode(latents).tolist())
    objects = (
        item if item.shape_codes is not None else replace(item, shape_codes=tuple(next(codes)))
        for item in scene.objects
    )
    return replace(scene, objects=tuple(objects))


def scene_mesh(objects: Sequence[PlacedObject], *, place: Callable[[np.ndarray], np.ndarray] | None = None) -> Asset:
    """All objects as one mesh, in the scene's frame, or where `place` moves points [points, 3] of it."""
    parts = [surface_asset(item.surface) for item in objects]
    triangles = np.concatenate([item.triangles for item in objects])
    return Asset(
        name="scene",
        category="scene",
        triangles=triangles if place is None else place(triangles.reshape(-1, 3)).reshape(-1, 3, 3),
        colors=np.concatenate([part.colors for part in parts]),
        uv=np.concatenate([part.uv for part in parts]),
        texture=np.concatenate([part.texture for part in parts]),
    )


def scene_sheet(made: GeneratedScene, picture: ScenePicture | SceneText) -> Image.Image:
    """The picture, or the text, beside views of the scene from around it."""
    given = ImageOps.pad(Image.fromarray(picture.rgb), (SIZE, SIZE), color="white")
    turns = [-90.0, *TURNS[1:]]  # the first looks from the camera's side, where the axes are view-centric
    titles = [
        "text" if isinstance(picture, SceneText) else "picture",
        *(f"from {turn % 360:.0f}\N{DEGREE SIGN}" for turn in turns),
    ]
    return contact_sheet([[given, *side_views(normalized(scene_mesh(made.objects)), turns=turns)]], titles)
