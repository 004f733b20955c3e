"""CLEVR scenes: drawn at random under CLEVR's rules, and turned into the ray tracer's tensors and pictures.

Every scene is drawn from its own seed, so that it does not matter which process draws it, or what was drawn before.
The rules are those of https://arxiv.org/abs/1612.06890, with CLEVR v1.0's numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from kyvo.data.clevr import blender, raytracer
from kyvo.data.clevr.primitives import SceneBatch
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import pixel_coords
from kyvo.scene.colors import linear_rgb
from kyvo.scene.relations import directions, relationships
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import CLEVR_CAMERA, CLEVR_COLORS, CLEVR_RADIUS, SceneSchema, clevr_camera

SHAPES = ("cube", "sphere", "cylinder", "cone")  # in the ray tracer's order
MATERIALS = ("rubber", "metal")
DRAWN = {"shape": SHAPES, "size": tuple(CLEVR_RADIUS), "material": MATERIALS}  # field -> words with a look
RENDERERS = ("raytracer", "blender")
MAX_TRIES = 50  # places tried for one object before the scene is begun again
MAX_SCENES = 400  # scenes begun before we say that the objects do not fit


@dataclass(frozen=True, kw_only=True)
class ClevrRules:
    """What a drawn scene must satisfy. The defaults are CLEVR v1.0's; lengths in CLEVR's units."""

    min_objects: int = 3
    max_objects: int = 10
    floor: float = 3.0  # x and y lie in [-floor, floor]
    gap: float = 0.25  # least distance on the floor between two objects' circles
    margin: float = 0.4  # least distance along left-right and front-behind, so that relations are clear
    camera_jitter: float = 0.5  # largest shift along each axis
    camera_roll: float = 0.0  # degrees: largest tilt of the picture to either side; small ones are drawn more often
    camera_crop: float = 0.0  # largest share of the picture's width that is cut off at each side
    lamp_jitter: float = 1.0
    min_visible: float = 200 / (480 * 320)  # least part of the picture that shows an object
    schema: str = "clevr"  # the scenes' schema, and its words:
    sizes: tuple[str, ...] = ("large", "small")
    shapes: tuple[str, ...] = SHAPES[:3]
    colors: tuple[str, ...] = tuple(CLEVR_COLORS)
    materials: tuple[str, ...] = MATERIALS

    def __post_init__(self) -> None:
        if not 0 <= self.min_objects <= self.max_objects:
            raise ConfigError(
                f"{self.min_objects} to {self.max_objects} objects a scene are no range; "
                "give at least 1, and no more at the least than at the most."
            )
        for name, words in (
            ("size", self.sizes), ("shape", self.shapes), ("color", self.colors), ("material", self.materials)
        ):  # fmt: skip
            for word in words:
                check_word(name, word)

    @classmethod
    def of(cls, schema: SceneSchema, **rules: Any) -> "ClevrRules":
        """The rules for scenes of CLEVR's fields with a schema's words. Raises ConfigError for other fields, and for
        words that have no picture."""
        fields = {field.name for field in schema.fields}
        if fields != {field.name for field in clevr_schema().fields} or schema.units != "clevr":
            raise ConfigError(
                f"the schema {schema.name!r} has the fields {', '.join(sorted(fields))} in {schema.units}; the ray "
                "tracer draws objects of size, color, material, shape and location in CLEVR's units."
            )
        words = {f"{field.name}s": field.words for field in schema.word_fields}
        return cls(schema=schema.name, **words, **rules)


def check_word(name: str, word: Any) -> None:
    """Raises ConfigError where nothing shows how an object of this word looks; `name` is the field's."""
    is_drawn = linear_rgb(str(word)) is not None if name == "color" else word in DRAWN[name]
    if not is_drawn:
        known = DRAWN.get(name, (*CLEVR_COLORS, "and the colors that CSS names"))
        raise ConfigError(f"{name} is {word!r}; the ray tracer knows {', '.join(known)}.")


CLEVR_RULES = ClevrRules()


def sample_scenes(
    indices: Sequence[int], *, seed: int, width: int, height: int, rules: ClevrRules = CLEVR_RULES
) -> list[Scene]:
    """The scenes of these indices, each of them set by `seed` and its index alone.

    Objects carry CLEVR's `rotation` and `pixel_coords` in `extra`; the scene's `extra` has CLEVR's `directions` and
    `relationships`, and the lamps' positions.
    Raises SceneError when the objects do not fit under the rules.
    """
    rngs = {index: np.random.default_rng(np.random.SeedSequence([seed, index])) for index in indices}
    num_objects = {i: int(rng.integers(rules.min_objects, rules.max_objects + 1)) for i, rng in rngs.items()}
    done: dict[int, Scene] = {}
    for _ in range(MAX_SCENES):
        waiting = [index for index in rngs if index not in done]
        if not waiting:
            break
        drawn = {index: _draw(rngs[index], num_objects[index], width, height, rules) for index in waiting}
        placed = {index: scene for index, scene in drawn.items() if scene is not None}
        seen = all_visible(list(placed.values()), rules)
        done |= {index: scene for (index, scene), shown in zip(placed.items(), seen, strict=True) if shown}
    missing = [index for index in indices if index not in done]
    if missing:
        raise SceneError(
            f"{num_objects[missing[0]]} objects found no place in {MAX_SCENES} tries of scene {missing[0]}; "
            f"at most about 10 fit on CLEVR's floor. Ask for fewer objects (now {rules.min_objects} to "
            f"{rules.max_objects})."
        )
    return [_with_relations(done[index]) for index in indices]


def _with_relations(scene: Scene) -> Scene:
    """With what CLEVR's own tools read besides: `directions` and `relationships`."""
    extra = {"directions": {name: list(vector) for name, vector in directions(scene).items()}}
    return replace(scene, extra={**scene.extra, **extra, "relationships": relationships(scene)})


def _draw(rng: np.random.Generator, num_objects: int, width: int, height: int, rules: ClevrRules) -> Scene | None:
    """One try: None when an object found no place."""
    jitter = rng.uniform(-1, 1, (4, 3))
    camera = clevr_camera(width, height, _vector(np.add(CLEVR_CAMERA, jitter[0] * rules.camera_jitter)))
    if rules.camera_roll or rules.camera_crop:
        tilt, crop = rng.uniform(-1, 1), rng.uniform(0, rules.camera_crop)
        camera = camera.turned(roll=math.radians(rules.camera_roll * tilt * abs(tilt)), zoom=1 / (1 - 2 * crop))
    lamps = [_vector(np.add(lamp, j * rules.lamp_jitter)) for lamp, j in zip(raytracer.LAMPS, jitter[1:], strict=True)]
    sideways = np.asarray(clevr_camera(width, height).rotation[0][:2])
    sideways = sideways / np.linalg.norm(sideways)
    axes = np.stack([sideways, [-sideways[1], sideways[0]]], axis=1)  # columns: right, behind; of the unmoved camera
    objects: list[SceneObject] = []
    placed = footprints(objects)
    for _ in range(num_objects):
        size, shape, color, material = (
            words[rng.integers(len(words))] for words in (rules.sizes, rules.shapes, rules.colors, rules.materials)
        )
        rotation = round(rng.uniform(0, 360), 4)
        tries = rng.uniform(-rules.floor, rules.floor, (MAX_TRIES, 2)).round(5)
        radius, is_cube = CLEVR_RADIUS[size], shape == "cube"
        free = is_free(tries, radius=radius, rotation=rotation, is_cube=is_cube, others=placed, gap=rules.gap)
        free &= is_clear(tries, others=placed, axes=axes, margin=rules.margin)
        if not free.any():
            return None
        place = tries[free.argmax()]
        placed = Footprints(
            centers=np.vstack([placed.centers, place]),
            radii=np.append(placed.radii, radius),
            rotations=np.append(placed.rotations, rotation),
            are_cubes=np.append(placed.are_cubes, is_cube),
        )
        location = (float(place[0]), float(place[1]), radius)
        extra = {"rotation": rotation, "pixel_coords": pixel_coords(camera, location)}
        objects.append(
            SceneObject(shape=shape, size=size, color=color, material=material, location=location, extra=extra)
        )
    return Scene(
        objects=tuple(objects), schema=rules.schema, camera=camera, extra={"lamps": [list(lamp) for lamp in lamps]}
    )


@dataclass(frozen=True, kw_only=True)
class Footprints:
    """Where N solids meet the floor."""

    centers: Float[np.ndarray, "objects 2"]
    radii: Float[np.ndarray, " objects"]
    rotations: Float[np.ndarray, " objects"]  # about +z, rad
    are_cubes: Bool[np.ndarray, " objects"]


def footprints(objects: Sequence[SceneObject]) -> Footprints:
    """Those of CLEVR objects; one without `rotation` in its `extra` has 0. Raises SceneError as `scene_batch` does."""
    primitives = [_primitive(item, f"objects[{index}]") for index, item in enumerate(objects)]
    return Footprints(
        centers=np.array([primitive["position"][:2] for primitive in primitives], dtype=float).reshape(-1, 2),
        radii=np.array([primitive["radius"] for primitive in primitives], dtype=float),
        rotations=np.array([primitive["rotation"] for primitive in primitives], dtype=float),
        are_cubes=np.array([item.shape == "cube" for item in objects], dtype=bool),
    )


def is_free(
    candidates: Float[np.ndarray, "tries 2"],
    *,
    radius: float,
    rotation: float,
    is_cube: bool,
    others: Footprints,
    gap: float,
) -> Bool[np.ndarray, " tries"]:
    """Whether a solid at each place keeps `gap` between its circle and the others', and meets none of their outlines.

    Args:
        rotation: about +z, rad.
    """
    apart = candidates[:, None] - others.centers  # tries objects 2
    distance = np.linalg.norm(apart, axis=2)
    angle = np.arctan2(apart[..., 1], apart[..., 0])
    reach = _reach(radius, rotation, is_cube, angle) + _reach(others.radii, others.rotations, others.are_cubes, angle)
    return ((distance - others.radii - radius >= gap) & (reach < distance)).all(1)


def is_clear(
    candidates: Float[np.ndarray, "tries 2"], *, others: Footprints, axes: Float[np.ndarray, "2 2"], margin: float
) -> Bool[np.ndarray, " tries"]:
    """Whether each place is `margin` from the others' centres along both `axes` (columns), for clear relations."""
    along = np.abs((candidates[:, None] - others.centers) @ axes)  # tries objects 2
    return np.all(along >= margin, axis=(1, 2))


def _reach(radius: Any, rotation: Any, is_cube: Any, angle: np.ndarray) -> np.ndarray:
    """How far a solid reaches from its centre on the floor towards `angle`; cubes reach past their circle."""
    turned = angle - rotation
    return np.where(is_cube, radius * (np.abs(np.cos(turned)) + np.abs(np.sin(turned))), radius)


def all_visible(scenes: Sequence[Scene], rules: ClevrRules = CLEVR_RULES) -> list[bool]:
    """Whether each scene shows enough of each of its objects, and of each a part inside the picture."""
    if not scenes:
        return []
    batch = scene_batch(scenes)
    seen = raytracer.visible_fraction(batch, width=120, height=80)
    return ((seen >= rules.min_visible) | ~batch.valid).all(1).tolist()


def scene_batch(scenes: Sequence[Scene]) -> SceneBatch:
    """The ray tracer's tensors for CLEVR scenes in the world frame.

    A scene without a camera gets CLEVR's, one without `lamps` in its `extra` gets them unmoved, an object without
    `rotation` gets 0. Raises SceneError for an attribute that is missing or that has no solid, color or material.
    """
    most = max((len(scene) for scene in scenes), default=0)
    rows: dict[str, list[list[Any]]] = {
        name: [] for name in ("shape", "radius", "color", "metal", "position", "rotation")
    }
    for number, scene in enumerate(scenes):
        try:
            objects = [_primitive(item, f"objects[{index}]") for index, item in enumerate(scene.objects)]
        except SceneError as error:
            raise SceneError(f"scenes[{number}].{error}") from error
        padded = objects + [_PADDING] * (most - len(objects))
        for name, values in rows.items():
            values.append([row[name] for row in padded])
    cameras = [scene.camera or clevr_camera(1, 1) for scene in scenes]
    shape = (len(scenes), most)
    return SceneBatch(
        shape=torch.tensor(rows["shape"], dtype=torch.long).view(shape),
        radius=torch.tensor(rows["radius"], dtype=torch.float).view(shape),
        color=torch.tensor(rows["color"], dtype=torch.float).view(*shape, 3),
        metal=torch.tensor(rows["metal"], dtype=torch.bool).view(shape),
        position=torch.tensor(rows["position"], dtype=torch.float).view(*shape, 3),
        rotation=torch.tensor(rows["rotation"], dtype=torch.float).view(shape),
        valid=torch.tensor([[i < len(scene) for i in range(most)] for scene in scenes], dtype=torch.bool).view(shape),
        camera=torch.tensor([camera.location for camera in cameras], dtype=torch.float).view(-1, 3),
        axes=torch.tensor([camera.rotation for camera in cameras], dtype=torch.float).view(-1, 3, 3),
        focal=torch.tensor([camera.focal / camera.width for camera in cameras], dtype=torch.float),
        lamps=torch.tensor([scene.extra.get("lamps", raytracer.LAMPS) for scene in scenes], dtype=torch.float).view(
            -1, 3, 3
        ),
    )


_PADDING = {
    "shape": 0,
    "radius": 1.0,
    "color": (0.0, 0.0, 0.0),
    "metal": False,
    "position": (0.0, 0.0, 0.0),
    "rotation": 0.0,
}


def _primitive(item: SceneObject, where: str) -> dict[str, Any]:
    for name in ("shape", "size", "color", "material"):
        try:
            check_word(name, item.get(name))
        except ConfigError as error:
            raise SceneError(f"{where}.{error}") from error
    if item.location is None:
        raise SceneError(f"{where}.location is missing; the ray tracer needs each object's centre.")
    return {
        "shape": SHAPES.index(item.shape),  # type: ignore[arg-type]
        "radius": CLEVR_RADIUS[item.size],  # type: ignore[index]
        "color": linear_rgb(item.color),  # type: ignore[arg-type]
        "metal": item.material == "metal",
        "position": item.location,
        # CLEVR draws 0 to 360, but Blender read the number as radians; v1.0's pictures bear it out.
        "rotation": item.extra.get("rotation", 0.0) % (2 * math.pi),
    }


def render_scenes(
    scenes: Sequence[Scene],
    *,
    width: int,
    height: int,
    samples: int | None = None,
    renderer: str = "raytracer",
    device: str = "cpu",
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Pictures of CLEVR scenes, one RGB picture each; for other sizes the width keeps the view.

    Args:
        samples: rays a pixel along each axis for the ray tracer (2 by default), paths a pixel for Blender (16).
        renderer: one of RENDERERS; "blender" needs the extra `[blender]`.
        device: that the ray tracer runs on; its pictures differ by roundings between devices.

    Raises SceneError as `scene_batch` does, ConfigError for an unknown renderer, and MissingDependency where Blender
    does not import.
    """
    if renderer not in RENDERERS:
        raise ConfigError(f"no renderer is called {renderer!r}; known are {', '.join(RENDERERS)}.")
    settings = {"width": width, "height": height} | ({} if samples is None else {"samples": samples})
    if renderer == "blender":
        return blender.render(scene_batch(scenes), **settings)
    return raytracer.render(scene_batch(scenes).to(device), **settings).cpu().numpy()


def _vector(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 5) for value in values)
    return x, y, z
