"""Shapes of a scene's objects: meshes of a library -> codes, and codes -> meshes where the objects stand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import trimesh

from kyvo.data.meshes.assets import AssetLibrary
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.scene import Scene
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.mesh import normalized
from kyvo.shapes.surfaces import colored_mesh, place_shapes
from kyvo.shapes.tokenizer import ShapeTokenizer


def library_codes(library: AssetLibrary, names: Iterable[str], tokenizer: ShapeTokenizer) -> dict[str, tuple[int, ...]]:
    """Codes of the library's assets of these names. Raises SceneError for a name that it lacks."""
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in library.assets]:
        raise SceneError(
            f"the asset {unknown[0]!r} is not in the library of {len(library.assets)}; give the one of the scenes."
        )
    resolution = tokenizer.config.resolution
    latents = [surface_latent(normalized(library.assets[name]), resolution=resolution) for name in names]
    return {name: tuple(codes) for name, codes in zip(names, tokenizer.encode(latents).tolist(), strict=True)}


def with_shapes(scene: Scene, library: AssetLibrary, codes: Mapping[str, tuple[int, ...]]) -> Scene:
    """The scene with each object's `shape_codes`, and its `dimensions` (width, height, length; z is up): what
    `objaworld-shapes` and `objaworld-shapes-sized` write.

    Raises SceneError for an object that does not name its `asset`.
    """
    objects = []
    for number, item in enumerate(scene.objects):
        name = str(item.extra.get("asset"))
        if name not in codes:
            raise SceneError(f"objects[{number}].asset is {name!r}, whose shape has no codes; encode that asset too.")
        corners = library.assets[name].triangles.reshape(-1, 3)
        width, length, height = (np.ptp(corners, axis=0) * float(item.extra.get("scale", 1.0))).tolist()
        objects.append(replace(item, shape_codes=codes[name], dimensions=(width, height, length)))
    return replace(scene, objects=tuple(objects))


def shape_meshes(scene: Scene, tokenizer: ShapeTokenizer, *, longest_side: float = 1.0) -> dict[int, trimesh.Trimesh]:
    """Index of an object with codes -> its decoded mesh where it stands, for `kyvo.export`.

    Args:
        longest_side: of objects without `dimensions`, in the scene's units; a shape says nothing of its size.

    Raises:
        ConfigError: the tokenizer's latents are TRELLIS's, which take its mesh decoder.
        TokenError: the codes are another tokenizer's.
    """
    if tokenizer.config.kind != "surface":
        raise ConfigError(
            f"the tokenizer's latents are of kind {tokenizer.config.kind!r}; their meshes come from a decoder of their "
            "own. Take a tokenizer of surface features, as the bundled one."
        )
    coded = {index: item.shape_codes for index, item in enumerate(scene.objects) if item.shape_codes is not None}
    if not coded:
        return {}
    surfaces = [extract_mesh(latent) for latent in tokenizer.decode([list(codes) for codes in coded.values()])]
    meshes = {index: colored_mesh(surface) for index, surface in zip(coded, surfaces, strict=True)}
    return place_shapes(scene, meshes, longest_side=longest_side)
