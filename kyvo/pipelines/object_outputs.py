"""What generated objects are written as: meshes, Gaussians, latents, and a sheet of views from around."""

from collections.abc import Sequence
from pathlib import Path

from kyvo.errors import ConfigError
from kyvo.files import write_picture
from kyvo.pipelines.objects import GeneratedObject
from kyvo.shapes.gaussian_files import write_gaussians
from kyvo.shapes.mesh import CubeTransform
from kyvo.shapes.pictures import turntable_sheet
from kyvo.shapes.surfaces import colored_mesh, surface_asset, write_shape

# By format, how its files' names end.
SUFFIXES = {
    "glb": ".glb",
    "ply": ".ply",
    "html": ".html",  # a viewer in one file
    "gaussians": ".gaussians.ply",
    "latent": ".npz",
    "video-sheet": ".png",
}


def output_paths(out: Path, *, format: str, count: int) -> list[Path]:
    """A file of each object: `out`, or with its number before the suffix where there are several. A sheet is one file.

    Raises:
        ConfigError: no such format, or `out` ends as another one.
    """
    if format not in SUFFIXES:
        raise ConfigError(f"no format is called {format!r}; known are {', '.join(SUFFIXES)}.")
    suffix = SUFFIXES[format]
    if not out.name.lower().endswith(suffix) or out.name.lower() == suffix:
        raise ConfigError(f"{out} is written in the format {format}; name it so that it ends in {suffix}.")
    if count == 1 or format == "video-sheet":
        return [out]
    stem = out.name[: -len(suffix)]
    return [out.with_name(f"{stem}-{index}{suffix}") for index in range(count)]


def write_objects(
    made: Sequence[GeneratedObject], paths: Sequence[Path], *, format: str, place: CubeTransform | None = None
) -> None:
    """Writes each object, or one sheet of all.

    Args:
        place: where meshes are put back to.

    Raises:
        SceneError: an object has no face.
        FileError: a file cannot be written.
    """
    if format == "video-sheet":
        rows = [(f"sample {item.sample}, seed {item.seed}", surface_asset(item.mesh)) for item in made]
        write_picture(paths[0], turntable_sheet(rows))
        return
    for item, path in zip(made, paths, strict=True):
        if format == "gaussians":
            write_gaussians(item.gaussians, path)
        elif format == "latent":
            item.slat.save(path)
        else:
            write_shape(colored_mesh(item.mesh), path, place=place)
