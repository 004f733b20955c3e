"""ObjaWorld: scenes of meshes with position and pose (https://arxiv.org/abs/2506.08002, section on data).

An rng decides which assets, where (kyvo/data/meshes/layout.py), turned how, seen from where. The scene is in the world
frame of `objaworld_schema`: z up, `location` is the centre of the upright box, `pose` the rotation about x, y, z. Its
objects carry `asset` and `scale` in `extra`, and `pixel_coords` as CLEVR's do; with `setting` in the scene's `extra`
that is all a renderer needs.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from kyvo.data.meshes import mesh_renderer
from kyvo.data.meshes.assets import Asset, AssetLibrary
from kyvo.data.meshes.layout import random_layout, table_top, uniform_layout
from kyvo.data.meshes.mesh_renderer import Environment, PlacedAsset
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import objaworld_schema
from kyvo.scene.scene import Camera, Scene, SceneObject, Vector
from kyvo.scene.schema import CLEVR_CAMERA, SceneSchema, clevr_camera

MAX_SCENES = 50  # scenes begun before we say which rule they break
VIEW_PIXELS = 96  # width of the picture in which hidden objects are looked for
NEARER = 0.75  # than CLEVR's camera: the floor is smaller, and thin objects must show

MEADOW = Environment(floor=(0.47, 0.60, 0.36), horizon=(0.80, 0.86, 0.90))
FLOORBOARDS = Environment(
    floor=(0.74, 0.62, 0.50), horizon=(0.90, 0.88, 0.84), zenith=(0.84, 0.82, 0.78), sunlight=0.6, skylight=0.52
)


@dataclass(frozen=True, kw_only=True)
class ObjaWorldRules:
    """What a drawn scene holds and must satisfy; lengths in CLEVR's units.

    Published are the categories alone; the rest is ours, with CLEVR's view from somewhat nearer.
    """

    categories: tuple[str, ...]
    min_objects: int = 2
    max_objects: int = 5
    floor: float = 2.5  # centres lie in [-floor, floor]^2, within the bins of objaworld_schema
    layout: str = "uniform"  # over the whole floor, or "random": I-Scene's, crowded in the middle
    clearance: float = 0.15  # of the uniform layout
    density: tuple[float, float] = (0.1, 0.6)  # of the random layout
    scales: tuple[float, float] = (1.0, 1.0)  # of an object, uniform between the two
    table: str | None = None  # category of a table that is in every scene, with an object standing on it
    on_table: tuple[str, ...] = ()  # categories of that object
    turn: float = math.pi  # poses about z are uniform in [-turn, turn]
    frame: str = "scene"  # of the numbers: the scene's own, or "view", turned with the camera
    camera: Vector = (
        CLEVR_CAMERA[0] * NEARER,
        CLEVR_CAMERA[1] * NEARER,
        CLEVR_CAMERA[2] * NEARER,
    )  # in the scene's frame; it looks at the origin
    camera_jitter: float = 0.5  # largest shift along each axis
    min_visible: float = 0.0004  # least part of a square picture that shows an object
    setting: Environment = field(default_factory=Environment)

    def __post_init__(self) -> None:
        if not 1 <= self.min_objects <= self.max_objects:
            raise ConfigError(f"{self.min_objects} to {self.max_objects} objects a scene are no range from 1 up.")
        if not self.categories:
            raise ConfigError("categories is empty; name at least one, as in park: person, bench, lamppost, bird.")
        if not 0 < self.scales[0] <= self.scales[1]:
            raise ConfigError(f"scales {self.scales[0]:g} to {self.scales[1]:g} are no range of positive factors.")
        for name, known in (("layout", ("random", "uniform")), ("frame", ("scene", "view"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; known are {', '.join(known)}.")
        if (self.table is None) != (not self.on_table):
            raise ConfigError("table and on_table go together: a table's category, and those of what stands on it.")
        if self.table is not None and self.max_objects < 2:
            raise ConfigError("a table with an object on it takes 2 objects; raise max_objects.")

    @property
    def schema(self) -> SceneSchema:
        """What a tokenizer must know of these scenes: ObjaWorld's schema, with these categories where it lacks one."""
        published = objaworld_schema()
        shape, *others = published.fields
        words = tuple(dict.fromkeys((*self.categories, *((self.table,) if self.table else ()), *self.on_table)))
        if set(words) <= set(shape.words):
            return published
        return replace(published, name="objaworld-custom", fields=(replace(shape, words=words), *others))


PARK = ObjaWorldRules(categories=("person", "bench", "lamppost", "bird"), setting=MEADOW)
LIVING_ROOM = ObjaWorldRules(categories=("person", "sofa", "table"), setting=FLOORBOARDS)
STILL_LIFE = ObjaWorldRules(
    categories=("chair", "crate", "barrel", "plant"),
    layout="random",
    table="table",
    on_table=("bottle", "vase"),
    scales=(0.8, 1.2),
    setting=FLOORBOARDS,
)


def make_sample(
    index: int, *, seed: int, library: AssetLibrary, rules: ObjaWorldRules, width: int, height: int, samples: int = 2
) -> tuple[Scene, UInt8[np.ndarray, "height width 3"]]:
    """The scene of this index and its picture, set by `seed` and `index` alone. Raises as `sample_scene` does."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    scene = sample_scene(library, rng=rng, rules=rules, width=width, height=height)
    return scene, render_scene(scene, library, width=width, height=height, samples=samples)


def sample_scene(
    library: AssetLibrary, *, rng: np.random.Generator, rules: ObjaWorldRules, width: int, height: int
) -> Scene:
    """A scene with a camera for pictures of width x height px.

    Raises AssetError for a category that the library lacks; SceneError when the objects do not fit, or always hide
    one another.
    """
    for _ in range(MAX_SCENES):
        scene = _draw(library, rng, rules, width, height)
        if _all_visible(scene, library, rules.min_visible):
            return scene
    raise SceneError(
        f"in each of {MAX_SCENES} scenes of {', '.join(rules.categories)} an object stood outside the picture, or "
        f"showed on less than min_visible, {rules.min_visible:g}, of it. Ask for fewer or larger objects, a smaller "
        "floor or a camera farther away, or lower min_visible."
    )


def _draw(library: AssetLibrary, rng: np.random.Generator, rules: ObjaWorldRules, width: int, height: int) -> Scene:
    num_objects = int(rng.integers(max(rules.min_objects, 2 if rules.table else 1), rules.max_objects + 1))
    on_floor = [_choose(library, rng, (rules.table,))] if rules.table else []
    num_on_floor = num_objects - 1 if rules.table else num_objects
    while len(on_floor) < num_on_floor:
        on_floor.append(_choose(library, rng, rules.categories))
    scales = rng.uniform(*rules.scales, num_on_floor)
    turns = rng.uniform(-rules.turn, rules.turn, num_objects)
    radii = np.array([asset.radius for asset in on_floor]) * scales
    if rules.layout == "uniform":
        layout = uniform_layout(radii, rng=rng, half_side=rules.floor, clearance=rules.clearance)
    else:
        first = 0 if rules.table else None
        layout = random_layout(radii, rng=rng, half_side=rules.floor, density=rules.density, first=first)
    items = [
        _object(asset, x, y, 0.0, turn, scale)
        for asset, (x, y), turn, scale in zip(
            on_floor, layout.centers.tolist(), turns.tolist(), scales.tolist(), strict=False
        )
    ]
    if rules.table:
        small = _choose(library, rng, rules.on_table)
        items.append(_stand_on(items[0], on_floor[0], small, float(turns[-1]), float(rng.uniform(*rules.scales))))
    jitter = rng.uniform(-1, 1, 3) * rules.camera_jitter
    camera = clevr_camera(width, height, _vector(np.add(rules.camera, jitter)))
    # What is drawn is uniform in either frame, so the view's numbers are drawn at once and the camera put where it
    # belongs: turning a drawn scene would turn its corners out of the bins.
    axes: dict[str, str] = {}
    sun = rules.setting.sun
    if rules.frame == "view":
        angle = view_angle(camera)
        camera, sun, axes = _turned_camera(camera, -angle), _turned(sun, -angle), {"axes": "view"}
    pixels = camera.project(np.array([item.location for item in items])).tolist()
    return Scene(
        objects=tuple(
            item.with_values(pixel_coords=[math.floor(column), math.floor(row), round(depth, 5)])
            for item, (column, row, depth) in zip(items, pixels, strict=True)
        ),
        schema=rules.schema.name,
        camera=camera,
        extra={"setting": _plain(replace(rules.setting, sun=sun)), **axes},
    )


def _choose(library: AssetLibrary, rng: np.random.Generator, categories: Sequence[str | None]) -> Asset:
    """A category at random, then one of its assets."""
    assets = library.of(str(categories[int(rng.integers(len(categories)))]))
    return assets[int(rng.integers(len(assets)))]


def _object(asset: Asset, x: float, y: float, bottom: float, turn: float, scale: float) -> SceneObject:
    scale = round(scale, 5)
    return SceneObject(
        shape=asset.category,
        location=_vector(np.array([x, y, bottom + asset.extent[2] / 2 * scale])),
        pose=(0.0, 0.0, round(turn, 5)),
        extra={"asset": asset.name, "scale": scale},
    )


def _stand_on(table: SceneObject, table_asset: Asset, asset: Asset, turn: float, scale: float) -> SceneObject:
    """The object on the middle of the table's top, made smaller where it would reach beyond the nearest edge."""
    top = table_top(table_asset.triangles, name=f"asset {table_asset.name}")
    assert table.location is not None and table.pose is not None
    table_scale = float(table.extra["scale"])
    x, y, z = np.add(table.location, np.multiply(_turned((top.x, top.y, top.height), table.pose[2]), table_scale))
    return _object(asset, float(x), float(y), float(z), turn, min(scale, top.free * table_scale / asset.radius))


def render_scene(
    scene: Scene, library: AssetLibrary, *, width: int, height: int, samples: int = 2
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture of a scene; one without a camera gets CLEVR's, one without `setting` the plain one.

    An object without `asset` in its `extra` (a predicted one) takes the first asset of its `shape`. Raises SceneError
    for an object that cannot be placed, AssetError for a shape that the library lacks.
    """
    camera = (scene.camera or clevr_camera(width, height)).resized(width, height)
    setting = Environment(**{name: _tuple(value) for name, value in scene.extra.get("setting", {}).items()})
    return mesh_renderer.render(place(scene, library), camera=camera, setting=setting, samples=samples)


def place(scene: Scene, library: AssetLibrary) -> list[PlacedAsset]:
    """The scene's objects as meshes where they stand. Raises as `render_scene` does."""
    placed = []
    for number, item in enumerate(scene.objects):
        if item.location is None or item.shape is None:
            raise SceneError(
                f"objects[{number}] has no {'shape' if item.shape is None else 'location'}; a mesh needs it."
            )
        name = item.extra.get("asset")
        if name is not None and name not in library.assets:
            raise SceneError(
                f"objects[{number}].asset is {name!r}, which the library lacks; use the library that made the scene."
            )
        placed.append(
            PlacedAsset(
                asset=library.of(item.shape)[0] if name is None else library.assets[name],
                location=item.location,
                pose=item.pose or (0.0, 0.0, 0.0),
                scale=float(item.extra.get("scale", 1.0)),
            )
        )
    return placed


def view_angle(camera: Camera) -> float:
    """The angle about z, in radians, from the frame's x axis to the camera's right."""
    return math.atan2(camera.rotation[0][1], camera.rotation[0][0])


def view_centric(scene: Scene) -> Scene:
    """The same scene in axes that follow the camera: x to its right, y away from it, z up, the origin where it was.

    It renders to the same picture. Locations keep their distance from the origin, so a corner of a square floor may
    leave the bins; scenes drawn with `frame="view"` never do. Raises SceneError for a scene without a camera.
    """
    if scene.camera is None or scene.frame != "world":
        raise SceneError("view-centric axes need a scene in the world frame with its camera.")
    angle = view_angle(scene.camera)
    objects = []
    for item in scene.objects:
        values = {}
        if item.location is not None:
            values["location"] = _turned(item.location, -angle)
        if item.pose is not None:
            x, y, z = item.pose
            values["pose"] = (x, y, (z - angle + math.pi) % (2 * math.pi) - math.pi)
        objects.append(item.with_values(**values))
    extra = {**scene.extra, "axes": "view"}
    if "setting" in extra:
        extra["setting"] = {**extra["setting"], "sun": list(_turned(extra["setting"]["sun"], -angle))}
    return replace(scene, objects=tuple(objects), camera=_turned_camera(scene.camera, -angle), extra=extra)


def _all_visible(scene: Scene, library: AssetLibrary, least: float) -> bool:
    """Whether every object's centre lies in the picture, and enough of it shows."""
    assert scene.camera is not None
    centers = np.array([item.extra["pixel_coords"] for item in scene.objects])
    if not ((centers[:, :2] >= 0) & (centers[:, :2] < (scene.camera.width, scene.camera.height))).all():
        return False
    height = max(1, round(VIEW_PIXELS * scene.camera.height / scene.camera.width))
    index = mesh_renderer.visible(place(scene, library), camera=scene.camera.resized(VIEW_PIXELS, height))
    seen = (
        np.bincount(index[index >= 0], minlength=len(scene)) / VIEW_PIXELS**2
    )  # of a square: the width sets the scale
    return bool((seen >= least).all())


def _turned_camera(camera: Camera, angle: float) -> Camera:
    right, down, forward = (_turned(axis, angle) for axis in camera.rotation)
    return replace(camera, location=_turned(camera.location, angle), rotation=(right, down, forward))


def _turned(vector: Sequence[float], angle: float) -> Vector:
    """The vector turned about z."""
    x, y, z = vector
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle), float(z)


def _plain(setting: Environment) -> dict[str, float | list[float]]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(setting).items()}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (round(float(value), 5) for value in values)
    return x, y, z
