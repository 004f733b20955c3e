"""A library of simple colored meshes built in code, so that ObjaWorld scenes need no download.

Each builder draws the colors and proportions of one variant, in units of which a person is about 1.15 tall; `SIZE`
makes them large enough for the floor. z is up, and an asset's front looks towards -y, which is glTF's +z.
"""

import numpy as np

from kyvo.data.meshes.assets import Asset, AssetError, AssetLibrary
from kyvo.data.meshes.mesh_files import to_linear
from kyvo.data.meshes.primitives import (
    FABRIC,
    GLASS,
    HAIR,
    IRON,
    LEAVES,
    PAINT,
    SKIN,
    STEEL,
    WOOD,
    Builder,
    Color,
    Part,
    ball,
    box,
    four_legs,
    lathe,
    pick,
    rod,
)

SIZE = 1.4  # scene units per unit of the builders


def procedural_library(*, seed: int = 0, variants: int = 4) -> AssetLibrary:
    """`variants` assets of every category, set by the seed: `bench-0`, `bench-1`, ..."""
    assets = {}
    for name, category, parts in variants_of(seed, variants):
        triangles = np.concatenate([part.triangles for part in parts])
        low, high = triangles.min((0, 1)), triangles.max((0, 1))
        colors = [np.broadcast_to(to_linear(np.array(part.color) / 255), part.triangles.shape) for part in parts]
        assets[name] = Asset(
            name=name,
            category=category,
            triangles=triangles - (low + high) / 2,
            colors=np.concatenate(colors),
            uv=np.zeros((len(triangles), 3, 2)),
            texture=np.full(len(triangles), -1),
        )
    return AssetLibrary(assets=assets)


def variants_of(seed: int, variants: int) -> list[tuple[str, str, list[Part]]]:
    """(name, category, parts) of each asset. Raises AssetError for no variants at all."""
    if variants < 1:
        raise AssetError(f"{variants} variants of each category make no library; ask for at least 1.")
    found = []
    for number, (category, build) in enumerate(BUILDERS.items()):
        for variant in range(variants):
            rng = np.random.default_rng(np.random.SeedSequence([seed, number, variant]))
            parts = [part._replace(triangles=part.triangles * SIZE) for part in build(rng)]
            found.append((f"{category}-{variant}", category, parts))
    return found


def _person(rng: np.random.Generator) -> list[Part]:
    tall = rng.uniform(1.05, 1.25)
    shirt, trousers, skin, hair = (pick(rng, colors) for colors in (FABRIC, FABRIC, SKIN, HAIR))
    shoes, legs, arms, hands = [], [], [], []
    for side in (-1, 1):
        shoes.append(ball(0.055, 0.10, 0.045, at=(side * 0.075, -0.03, 0.045)))
        legs.append(rod((side * 0.075, 0, 0.05), (side * 0.07, 0, 0.55), 0.062))
        arms.append(rod((side * 0.165, 0, 0.85), (side * 0.20, -0.05, 0.54), 0.042))
        hands.append(ball(0.04, 0.04, 0.05, at=(side * 0.202, -0.055, 0.51)))
    trunk = lathe((0.115, 0.50), (0.11, 0.62), (0.145, 0.82), (0.12, 0.89), (0.05, 0.92)) * (1.15, 0.75, 1)
    head = ball(0.085, 0.095, 0.11, at=(0, -0.01, 1.02))
    neck = lathe((0.045, 0.88), (0.045, 0.96))
    nose = ball(0.015, 0.025, 0.02, at=(0, -0.105, 1.01))
    cap = ball(0.093, 0.1, 0.095, at=(0, 0.012, 1.055))
    parts = [
        Part(np.concatenate(shoes), IRON, "shoes"),
        Part(np.concatenate(legs), trousers, "trousers"),
        Part(np.concatenate([trunk, *arms]), shirt, "shirt"),
        Part(np.concatenate([head, neck, nose, *hands]), skin, "skin"),
        Part(cap, hair, "hair"),
    ]
    return [part._replace(triangles=part.triangles * (tall / 1.15)) for part in parts]


def _bird(rng: np.random.Generator) -> list[Part]:
    plumage = pick(rng, ((64, 104, 168), (190, 60, 50), (120, 96, 76), (226, 190, 60), (70, 74, 80)))
    belly: Color = (232, 222, 204)
    body = ball(0.11, 0.18, 0.125, at=(0, 0, 0.26))
    breast = ball(0.085, 0.12, 0.095, at=(0, -0.075, 0.235))
    head = ball(0.08, 0.08, 0.08, at=(0, -0.17, 0.40))
    neck = rod((0, -0.09, 0.30), (0, -0.16, 0.38), 0.062)
    wings = [ball(0.03, 0.16, 0.085, at=(side * 0.105, 0.04, 0.275)) for side in (-1, 1)]
    tail = box(0.09, 0.22, 0.02, at=(0, 0.24, 0.27))
    beak = lathe((0.03, 0), (0.001, 0.09))[..., [0, 2, 1]] * (1, -1, 1) + (0, -0.24, 0.395)
    feet = []
    for side in (-0.045, 0.045):
        feet += [rod((side, 0, 0.01), (side, 0, 0.16), 0.01), box(0.05, 0.09, 0.012, at=(side, -0.02, 0))]
    eyes = [ball(0.013, 0.013, 0.016, at=(side * 0.068, -0.20, 0.425)) for side in (-1, 1)]
    dark = tuple(int(value * 0.7) for value in plumage)
    return [
        Part(np.concatenate([body, head, neck]), plumage, "feathers"),
        Part(np.concatenate([*wings, tail]), (dark[0], dark[1], dark[2]), "wings"),
        Part(breast, belly, "belly"),
        Part(np.concatenate([beak, *feet]), (226, 140, 40), "beak and feet"),
        Part(np.concatenate(eyes), (20, 20, 22), "eyes"),
    ]


def _bench(rng: np.random.Generator) -> list[Part]:
    wide, wood = rng.uniform(1.1, 1.4), pick(rng, WOOD)
    slats = [box(wide, 0.095, 0.04, at=(0, y, 0.34)) for y in (-0.165, -0.055, 0.055, 0.165)]
    back = [box(wide, 0.035, 0.095, at=(0, 0.22, z)) for z in (0.46, 0.575)]
    frame = []
    for side in (-1, 1):
        x = side * (wide / 2 - 0.12)
        frame += [box(0.05, 0.05, 0.34, at=(x, -0.17, 0)), box(0.05, 0.05, 0.67, at=(x, 0.19, 0))]
        frame += [box(0.05, 0.38, 0.03, at=(x, 0.01, 0.31)), box(0.05, 0.40, 0.03, at=(x, 0.01, 0.50))]
        frame += [box(0.04, 0.04, 0.16, at=(x, -0.17, 0.36))]
    return [Part(np.concatenate(slats + back), wood, "seat and back"), Part(np.concatenate(frame), IRON, "frame")]


def _lamppost(rng: np.random.Generator) -> list[Part]:
    tall = rng.uniform(1.7, 2.1)
    post = lathe((0.13, 0), (0.13, 0.05), (0.09, 0.08), (0.07, 0.25), (0.045, 0.30), (0.035, tall - 0.32))
    collar = lathe((0.09, tall - 0.34), (0.10, tall - 0.30))
    lamp = lathe((0.08, tall - 0.30), (0.13, tall - 0.10))
    roof = lathe((0.16, tall - 0.10), (0.05, tall - 0.02), (0.02, tall))
    return [
        Part(np.concatenate([post, collar, roof]), pick(rng, (IRON, (36, 70, 54), (60, 48, 44))), "post"),
        Part(lamp, (255, 240, 190), "lamp"),
    ]


def _sofa(rng: np.random.Generator) -> list[Part]:
    wide, color = rng.uniform(1.3, 1.6), pick(rng, FABRIC)
    light = tuple(min(255, int(value * 1.15) + 8) for value in color)
    base = box(wide, 0.62, 0.20, at=(0, 0, 0.07))
    back = box(wide, 0.18, 0.34, at=(0, 0.22, 0.27))
    arms = [box(0.16, 0.60, 0.20, at=(side * (wide / 2 - 0.08), -0.01, 0.27)) for side in (-1, 1)]
    inner = (wide - 0.34) / 2
    cushions = [box(inner - 0.015, 0.44, 0.11, at=(side * inner / 2, -0.085, 0.27)) for side in (-1, 1)]
    pillows = [box(inner - 0.05, 0.09, 0.20, at=(side * inner / 2, 0.10, 0.38)) for side in (-1, 1)]
    return [
        Part(np.concatenate([base, back, *arms]), color, "frame"),
        Part(np.concatenate(cushions + pillows), (light[0], light[1], light[2]), "cushions"),
        Part(four_legs(wide / 2 - 0.07, 0.25, 0.08, 0.03), WOOD[3], "short legs"),
    ]


def _table(rng: np.random.Generator) -> list[Part]:
    wood, tall = pick(rng, WOOD), rng.uniform(0.44, 0.56)
    if rng.random() < 0.5:
        radius = rng.uniform(0.42, 0.55)
        top = lathe((radius, tall - 0.05), (radius, tall))
        foot = lathe((0.26, 0), (0.24, 0.03), (0.06, 0.06), (0.05, tall - 0.05))
        return [Part(top, wood, "round top"), Part(foot, pick(rng, (*WOOD, IRON)), "single foot")]
    x, y = rng.uniform(0.9, 1.25), rng.uniform(0.6, 0.75)
    top = box(x, y, 0.05, at=(0, 0, tall - 0.05))
    apron = box(x - 0.16, y - 0.16, 0.07, at=(0, 0, tall - 0.12))
    legs = np.concatenate([four_legs(x / 2 - 0.06, y / 2 - 0.06, tall - 0.05, 0.035), apron])
    return [Part(top, wood, "rectangular top"), Part(legs, wood, "four legs")]


def _chair(rng: np.random.Generator) -> list[Part]:
    wood, fabric = pick(rng, WOOD), pick(rng, FABRIC)
    seat = box(0.42, 0.42, 0.05, at=(0, 0, 0.36))
    posts = [rod((side * 0.18, 0.18, 0.36), (side * 0.18, 0.21, 0.84), 0.022) for side in (-1, 1)]
    rails = [box(0.36, 0.03, 0.10, at=(0, 0.20, z)) for z in (0.55, 0.71)]
    return [
        Part(np.concatenate([*posts, *rails, four_legs(0.17, 0.17, 0.37, 0.025)]), wood, "back and legs"),
        Part(seat, fabric, "seat"),
    ]


def _car(rng: np.random.Generator) -> list[Part]:
    paint = pick(rng, PAINT)
    body = np.concatenate([box(0.72, 1.6, 0.24, at=(0, 0, 0.14)), box(0.70, 1.5, 0.06, at=(0, 0, 0.38))])
    cabin = box(1, 1, 0.24, at=(0, 0, 0.43))
    raised = cabin[..., 2] > 0.5
    cabin = cabin * (0.62, 0.95, 1) * np.where(raised, 0.8, 1.0)[..., None] ** (1, 1, 0) + (0, 0.12, 0)
    roof = box(0.51, 0.72, 0.025, at=(0, 0.12, 0.665))
    wheels, hubs = [], []
    for side in (-1, 1):
        for y in (-0.48, 0.5):
            wheels.append(rod((side * 0.27, y, 0.15), (side * 0.38, y, 0.15), 0.15))
            hubs.append(rod((side * 0.375, y, 0.15), (side * 0.39, y, 0.15), 0.075))
    lights = [box(0.14, 0.03, 0.07, at=(side * 0.25, -0.80, 0.26)) for side in (-1, 1)]
    tail = [box(0.14, 0.03, 0.07, at=(side * 0.25, 0.80, 0.26)) for side in (-1, 1)]
    bumpers = [box(0.70, 0.05, 0.07, at=(0, y, 0.15)) for y in (-0.81, 0.81)]
    return [
        Part(np.concatenate([body, roof]), paint, "body"),
        Part(cabin, (70, 92, 108), "windows"),
        Part(np.concatenate(wheels), (30, 30, 32), "tyres"),
        Part(np.concatenate(hubs + bumpers), STEEL, "hubs and bumpers"),
        Part(np.concatenate(lights), (250, 244, 214), "headlights"),
        Part(np.concatenate(tail), (170, 24, 24), "tail lights"),
    ]


def _tree(rng: np.random.Generator) -> list[Part]:
    tall, leaves = rng.uniform(1.6, 2.0), pick(rng, LEAVES)
    trunk = lathe((0.12, 0), (0.08, 0.15), (0.06, tall * 0.55))
    if rng.random() < 0.4:
        cones = []
        for step in range(3):
            low, radius = tall * (0.22 + 0.22 * step), 0.5 - 0.12 * step
            cones.append(lathe((radius, low), (0.01, low + tall * 0.36)))
        return [Part(trunk, WOOD[1], "trunk"), Part(np.concatenate(cones), leaves, "needles")]
    balls = [ball(0.36, 0.36, 0.34, at=(0, 0, tall - 0.36))]
    for turn in np.arange(5) * (2 * np.pi / 5) + rng.uniform(0, 2):
        place = (0.26 * np.cos(turn), 0.26 * np.sin(turn), tall - rng.uniform(0.5, 0.68))
        balls.append(ball(0.27, 0.27, 0.24, at=place))
    return [Part(trunk, WOOD[1], "trunk"), Part(np.concatenate(balls), leaves, "leaves")]


def _barrel(rng: np.random.Generator) -> list[Part]:
    height = np.linspace(0, 1, 11)
    bulge = 0.22 + 0.24 * height * (1 - height)
    wood = lathe(*zip(bulge, height * 0.66, strict=True))
    hoops = []
    for low in (0.05, 0.19, 0.42, 0.56):
        ends = [(0.22 + 0.24 * t * (1 - t) + 0.008, z) for z in (low, low + 0.05) for t in (z / 0.66,)]
        hoops.append(lathe(*ends))
    return [Part(wood, pick(rng, WOOD), "staves"), Part(np.concatenate(hoops), IRON, "hoops")]


def _bottle(rng: np.random.Generator) -> list[Part]:
    tall = rng.uniform(0.5, 0.6)
    turn = np.linspace(0, np.pi / 2, 6)
    shoulder = [(0.035 + 0.06 * np.cos(t), tall * 0.55 + 0.08 * np.sin(t)) for t in turn]
    glass = lathe((0.09, 0), (0.095, 0.02), *shoulder, (0.03, tall - 0.04), (0.037, tall - 0.035), (0.037, tall - 0.01))
    label = lathe((0.0965, 0.08), (0.0965, tall * 0.45))
    cork = lathe((0.026, tall - 0.02), (0.028, tall + 0.03))
    return [
        Part(glass, pick(rng, GLASS), "body"),
        Part(label, (236, 228, 206), "label"),
        Part(cork, pick(rng, ((190, 150, 104), *FABRIC)), "cork"),
    ]


def _vase(rng: np.random.Generator) -> list[Part]:
    height = np.linspace(0, 1, 15)
    belly = rng.uniform(0.10, 0.16)
    outside = 0.075 + belly * np.sin(np.pi * height**0.8) ** 2 + 0.05 * np.clip(height - 0.8, 0, 1) / 0.2
    body = lathe(*zip(outside, height * 0.5, strict=True))
    ring = 0.3 + 0.05
    band = lathe(*[(float(np.interp(z / 0.5, height, outside)) + 0.004, z) for z in np.linspace(ring - 0.1, ring, 5)])
    inside = lathe((0.10, 0.5005), (0.10, 0.501))
    return [
        Part(body, pick(rng, PAINT), "body"),
        Part(band, pick(rng, FABRIC), "band"),
        Part(inside, (40, 36, 34), "inside"),
    ]


def _crate(rng: np.random.Generator) -> list[Part]:
    side = rng.uniform(0.42, 0.55)
    inner = box(side - 0.05, side - 0.05, side - 0.04, at=(0, 0, 0.02))
    bars = []
    half = side / 2 - 0.03
    for i in (-half, half):
        for j in (-half, half):
            bars.append(box(0.06, 0.06, side, at=(i, j, 0)))
        for z in (0, side - 0.06):
            bars += [box(side, 0.06, 0.06, at=(0, i, z)), box(0.06, side, 0.06, at=(i, 0, z))]
    return [
        Part(inner, pick(rng, ((186, 146, 98), (160, 118, 74))), "panels"),
        Part(np.concatenate(bars), pick(rng, WOOD), "bars"),
    ]


def _plant(rng: np.random.Generator) -> list[Part]:
    pot = lathe((0.13, 0), (0.18, 0.24), (0.20, 0.24), (0.20, 0.29), (0.17, 0.29))
    soil = lathe((0.165, 0.292), (0.165, 0.294))
    leaves = []
    for turn in np.arange(9) * 2.4 + rng.uniform(0, 2):
        reach, rise = rng.uniform(0.10, 0.24), rng.uniform(0.22, 0.42)
        tip = (reach * np.cos(turn), reach * np.sin(turn), 0.29 + rise)
        leaf = ball(0.055, 0.02, rise * 0.62)
        lean = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        leaf[..., 0] += leaf[..., 2] * (reach / rise)
        leaves.append(leaf @ lean + np.multiply(tip, (0.55, 0.55, 1)) - (0, 0, rise * 0.4))
    return [
        Part(pot, pick(rng, ((176, 92, 62), *PAINT)), "pot"),
        Part(soil, (60, 42, 32), "soil"),
        Part(np.concatenate(leaves), pick(rng, LEAVES), "leaves"),
    ]


BUILDERS: dict[str, Builder] = {
    "person": _person,
    "bird": _bird,
    "bench": _bench,
    "lamppost": _lamppost,
    "sofa": _sofa,
    "table": _table,
    "chair": _chair,
    "car": _car,
    "tree": _tree,
    "barrel": _barrel,
    "bottle": _bottle,
    "vase": _vase,
    "crate": _crate,
    "plant": _plant,
}
