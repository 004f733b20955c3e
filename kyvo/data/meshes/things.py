"""Single things beside those of the procedural library: 40 categories to train generators of objects on.

Each builder draws proportions, colors and which parts there are. Parts are named as captions say them ("round top",
"three legs"), so that a text tells what can be seen.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from kyvo.data.meshes.procedural import BUILDERS
from kyvo.data.meshes.solids import (
    COUNTS,
    FABRIC,
    IRON,
    LEAVES,
    PAINT,
    STEEL,
    WOOD,
    Builder,
    Color,
    Part,
    Triangles,
    ball,
    box,
    four_legs,
    lathe,
    pick,
    rod,
)

CERAMIC: tuple[Color, ...] = ((238, 238, 234), (170, 60, 50), (40, 90, 150), (60, 120, 90), (220, 170, 60))
STONE: tuple[Color, ...] = ((150, 146, 140), (186, 178, 166), (110, 108, 106))


def _joined(*solids: Float[np.ndarray, "_ 3 3"]) -> Float[np.ndarray, "_ 3 3"]:
    return np.concatenate(solids)


def _upright_to(triangles: Triangles, axis: str) -> Triangles:
    """What stands along z, laid along x or y."""
    return triangles[..., [2, 0, 1]] if axis == "x" else triangles[..., [1, 2, 0]]


def _some_legs(rng: np.random.Generator, *, reach: float, height: float, radius: float, count: int) -> Triangles:
    """`count` legs on a circle, somewhat spread."""
    turns = 2 * np.pi * np.arange(count) / count + np.pi / 4
    spread = rng.uniform(1.0, 1.25)
    rods = []
    for x, y in zip(reach * np.cos(turns), reach * np.sin(turns), strict=True):
        rods.append(rod((spread * x, spread * y, 0), (x, y, height), radius))
    return _joined(*rods)


def _table(rng: np.random.Generator) -> list[Part]:
    wood, tall = pick(rng, WOOD), rng.uniform(0.42, 0.62)
    if rng.random() < 0.5:
        radius = rng.uniform(0.38, 0.55)
        top, name = lathe((radius, tall - 0.05), (radius, tall)), "round top"
        if rng.random() < 0.4:
            foot = lathe((0.26, 0), (0.24, 0.03), (0.06, 0.06), (0.05, tall - 0.05))
            return [Part(top, wood, name), Part(foot, pick(rng, (*WOOD, IRON)), "single foot")]
        reach = radius * 0.75
    else:
        x, y = rng.uniform(0.8, 1.25), rng.uniform(0.5, 0.75)
        if rng.random() < 0.5:
            base = four_legs(x / 2 - 0.06, y / 2 - 0.06, tall - 0.05, rng.uniform(0.025, 0.045))
            return [
                Part(box(x, y, 0.05, at=(0, 0, tall - 0.05)), wood, "rectangular top"),
                Part(base, pick(rng, (*WOOD, IRON)), "four legs"),
            ]
        top, name, reach = box(y, y, 0.05, at=(0, 0, tall - 0.05)), "square top", y * 0.4
    count = int(rng.integers(3, 5))
    legs = _some_legs(rng, reach=reach, height=tall - 0.05, radius=rng.uniform(0.025, 0.04), count=count)
    return [Part(top, wood, name), Part(legs, pick(rng, (*WOOD, IRON)), f"{COUNTS[count]} legs")]


def _stool(rng: np.random.Generator) -> list[Part]:
    tall, radius, count = rng.uniform(0.4, 0.7), rng.uniform(0.17, 0.22), int(rng.integers(3, 5))
    round_seat = rng.random() < 0.6
    seat = lathe((radius, tall - 0.06), (radius, tall)) if round_seat else box(0.36, 0.36, 0.06, at=(0, 0, tall - 0.06))
    legs = _some_legs(rng, reach=0.13, height=tall - 0.05, radius=0.022, count=count)
    return [
        Part(seat, pick(rng, (*FABRIC, *WOOD)), "round seat" if round_seat else "square seat"),
        Part(legs, pick(rng, (*WOOD, IRON)), f"{COUNTS[count]} legs"),
    ]


def _bed(rng: np.random.Generator) -> list[Part]:
    wide, long = rng.uniform(0.7, 1.3), 1.5
    wood = pick(rng, WOOD)
    head = box(wide, 0.06, rng.uniform(0.5, 0.75), at=(0, long / 2, 0))
    frame = _joined(
        box(wide, long, 0.12, at=(0, 0, 0.14)), box(wide, 0.06, 0.36, at=(0, -long / 2, 0)), head,
        four_legs(wide / 2 - 0.06, long / 2 - 0.06, 0.16, 0.04),
    )  # fmt: skip
    count = 1 if wide < 1.0 else 2
    pillows = [
        box(min(0.45, wide * 0.8), 0.28, 0.09, at=(x, long / 2 - 0.22, 0.42))
        for x in ((0.0,) if count == 1 else (-wide / 4, wide / 4))
    ]
    return [
        Part(box(wide - 0.06, long - 0.1, 0.16, at=(0, 0, 0.26)), (238, 238, 234), "mattress"),
        Part(box(wide - 0.02, long * 0.62, 0.18, at=(0, -long * 0.16, 0.27)), pick(rng, FABRIC), "blanket"),
        Part(frame, wood, "frame"),
        Part(_joined(*pillows), pick(rng, ((238, 238, 234), *FABRIC)), "pillow" if count == 1 else "two pillows"),
    ]


def _bookshelf(rng: np.random.Generator) -> list[Part]:
    wide, tall, deep, count = rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.5), 0.28, int(rng.integers(3, 6))
    boards = [box(wide, deep, 0.04, at=(0, 0, z)) for z in np.linspace(0, tall - 0.04, count)]
    sides = [box(0.04, deep, tall, at=(side * (wide / 2 - 0.02), 0, 0)) for side in (-1, 1)]
    back = box(wide, 0.02, tall, at=(0, deep / 2 - 0.01, 0))
    books: dict[Color, list[Triangles]] = {}
    colors = [pick(rng, PAINT) for _ in range(2)]
    gap = (tall - 0.04) / (count - 1) - 0.04
    for low in np.linspace(0, tall - 0.04, count)[:-1]:
        x = -wide / 2 + 0.05
        while x < wide / 2 - rng.uniform(0.1, 0.35):
            thick = rng.uniform(0.05, 0.09)
            book = box(thick, 0.18, gap * rng.uniform(0.6, 0.9), at=(x + thick / 2, 0, low + 0.04))
            books.setdefault(colors[int(rng.integers(2))], []).append(book)
            x += thick
    return [
        Part(_joined(*boards, *sides, back), pick(rng, (*WOOD, (238, 238, 234))), "shelves"),
        *(Part(_joined(*found), color, "books") for color, found in books.items()),
    ]


def _desk(rng: np.random.Generator) -> list[Part]:
    wide, wood = rng.uniform(1.0, 1.4), pick(rng, (*WOOD, (238, 238, 234)))
    top = box(wide, 0.6, 0.05, at=(0, 0, 0.52))
    drawers = box(0.36, 0.54, 0.42, at=(wide / 2 - 0.2, 0, 0.1))
    legs = four_legs(wide / 2 - 0.06, 0.25, 0.52, 0.03)
    fronts = [box(0.3, 0.02, 0.16, at=(wide / 2 - 0.2, -0.28, z)) for z in (0.12, 0.32)]
    return [
        Part(_joined(top, drawers), wood, "top"),
        Part(_joined(*fronts), pick(rng, FABRIC), "two drawers"),
        Part(legs, pick(rng, (IRON, STEEL, *WOOD)), "four legs"),
    ]


def _wardrobe(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.7, 1.0), rng.uniform(1.2, 1.5)
    body = box(wide, 0.42, tall, at=(0, 0, 0.06))
    crown = box(wide + 0.08, 0.5, 0.07, at=(0, 0, tall + 0.06))
    doors = [box(wide / 2 - 0.06, 0.03, tall - 0.14, at=(side * wide / 4, -0.22, 0.12)) for side in (-1, 1)]
    knobs = [ball(0.03, 0.03, 0.03, at=(side * 0.06, -0.25, tall * 0.52)) for side in (-1, 1)]
    return [
        Part(_joined(body, crown, four_legs(wide / 2 - 0.05, 0.16, 0.07, 0.04)), pick(rng, WOOD), "body"),
        Part(_joined(*doors), pick(rng, (*WOOD, *PAINT)), "two doors"),
        Part(_joined(*knobs), pick(rng, (STEEL, IRON, (236, 180, 40))), "knobs"),
    ]


def _lamp(rng: np.random.Generator) -> list[Part]:
    tall, wide = rng.uniform(0.45, 0.8), rng.uniform(0.16, 0.24)
    if rng.random() < 0.5:
        foot, name = lathe((0.14, 0), (0.13, 0.03), (0.025, 0.05), (0.02, tall)), "thin stand"
    else:
        foot, name = lathe((0.08, 0), (0.13, tall * 0.25), (0.09, tall * 0.5), (0.02, tall * 0.6), (0.02, tall)), "base"
    shade = lathe((wide, tall - 0.1), (wide * rng.uniform(0.45, 0.95), tall + 0.18))
    return [
        Part(foot, pick(rng, (IRON, STEEL, *CERAMIC)), name),
        Part(shade, pick(rng, ((255, 240, 190), *FABRIC)), "lampshade"),
    ]


def _handle(x: float, low: float, high: float, reach: float, radius: float) -> Triangles:
    """A bent handle that starts and ends at (x, 0)."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 7)
    middle, half = (low + high) / 2, (high - low) / 2
    points = [(x + reach * np.cos(turn), 0.0, middle + half * np.sin(turn)) for turn in turns]
    return _joined(*(rod(start, end, radius) for start, end in pairwise(points)))


def _mug(rng: np.random.Generator) -> list[Part]:
    tall, wide, color = rng.uniform(0.2, 0.3), rng.uniform(0.09, 0.13), pick(rng, PAINT)
    body = lathe((wide * 0.9, 0), (wide, 0.02), (wide, tall), (wide - 0.02, tall), (wide - 0.02, tall * 0.8))
    drink = lathe((wide - 0.02, tall * 0.78), (wide - 0.02, tall * 0.8))
    band = lathe((wide + 0.005, tall * 0.35), (wide + 0.005, tall * 0.6))
    parts = [
        Part(_joined(body, _handle(wide - 0.01, tall * 0.2, tall * 0.8, 0.09, 0.02)), color, "handle"),
        Part(drink, pick(rng, ((94, 62, 45), (238, 238, 234))), "drink"),
    ]
    return [*parts, Part(band, pick(rng, PAINT), "band")] if rng.random() < 0.5 else parts


def _bowl(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.2, 0.3), rng.uniform(0.12, 0.2)
    turns = np.linspace(0.2, np.pi / 2, 6)
    outside = [(wide * np.sin(turn), 0.03 + tall * (1 - np.cos(turn))) for turn in turns]
    inside = [((wide - 0.03) * np.sin(turn), 0.05 + tall * (1 - np.cos(turn))) for turn in turns[::-1]]
    body = lathe((0.1, 0), (0.1, 0.03), *outside, *inside)
    fruit = []
    for turn in np.arange(int(rng.integers(3, 6))) * 1.4:
        fruit.append(ball(0.07, 0.07, 0.07, at=(0.09 * np.cos(turn), 0.09 * np.sin(turn), 0.03 + tall * 0.75)))
    parts = [Part(body, pick(rng, (*CERAMIC, *WOOD)), "body")]
    return [*parts, Part(_joined(*fruit), pick(rng, PAINT), "fruit")] if rng.random() < 0.6 else parts


def _teapot(rng: np.random.Generator) -> list[Part]:
    color, wide = pick(rng, (*CERAMIC, STEEL)), rng.uniform(0.17, 0.22)
    body = ball(wide, wide, wide * rng.uniform(0.7, 1.0), at=(0, 0, wide))
    spout = _joined(
        rod((wide * 0.7, 0, wide * 0.7), (wide * 1.4, 0, wide * 1.2), 0.04),
        rod((wide * 1.4, 0, wide * 1.2), (wide * 1.7, 0, wide * 1.8), 0.03),
    )
    lid = lathe((wide * 0.5, wide * 1.75), (wide * 0.4, wide * 1.9), (0.02, wide * 2.0))
    knob = ball(0.035, 0.035, 0.035, at=(0, 0, wide * 2.1))
    handle = _handle(wide * 0.85, wide * 0.5, wide * 1.5, 0.14, 0.025) * (-1, -1, 1)
    return [
        Part(_joined(body, spout), color, "body and spout"),
        Part(_joined(lid, knob), pick(rng, (color, *CERAMIC)), "lid"),
        Part(handle, pick(rng, (color, *WOOD)), "handle"),
    ]


def _clock(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.22, 0.32)
    is_round = rng.random() < 0.6
    middle = radius + 0.06
    face = _upright_to(lathe((radius * 0.85, -0.06), (radius * 0.85, 0.075)), "y") * (1, -1, 1) + (0, 0, middle)
    if is_round:
        case = _upright_to(lathe((radius, -0.06), (radius, 0.06)), "y") + np.array((0, 0, middle))
    else:
        case = box(2.2 * radius, 0.12, 2.2 * radius, at=(0, 0, middle - 1.1 * radius))
    hands = _joined(
        rod((0, -0.085, middle), (radius * 0.5, -0.085, middle + radius * 0.2), 0.018),
        rod((0, -0.085, middle), (rng.uniform(-0.3, 0.3) * radius, -0.085, middle + radius * 0.65), 0.015),
    )
    feet = [box(0.06, 0.1, 0.07, at=(side * radius * 0.6, 0, 0)) for side in (-1, 1)]
    return [
        Part(case, pick(rng, (*WOOD, *PAINT)), "round case" if is_round else "square case"),
        Part(face, (238, 238, 234), "face"),
        Part(hands, (20, 20, 22), "hands"),
        Part(_joined(*feet), pick(rng, (IRON, *WOOD)), "two feet"),
    ]


def _television(rng: np.random.Generator) -> list[Part]:
    wide = rng.uniform(0.8, 1.2)
    tall = wide * rng.uniform(0.55, 0.75)
    case = box(wide, 0.1, tall, at=(0, 0, 0.12))
    screen = box(wide - 0.1, 0.02, tall - 0.1, at=(0, -0.055, 0.17))
    stand = _joined(box(0.12, 0.08, 0.14, at=(0, 0.02, 0)), box(wide * 0.5, 0.3, 0.03))
    return [
        Part(screen, pick(rng, ((44, 94, 146), (20, 20, 22), (70, 132, 160), (58, 122, 86))), "screen"),
        Part(case, pick(rng, (IRON, STEEL, *WOOD)), "case"),
        Part(stand, pick(rng, (IRON, STEEL)), "stand"),
    ]


def _ladder(rng: np.random.Generator) -> list[Part]:
    tall, count, color = rng.uniform(1.2, 1.8), int(rng.integers(4, 7)), pick(rng, (*WOOD, STEEL, *PAINT))
    lean = rng.uniform(0, 0.4)
    rails = [rod((side * 0.22, 0, 0), (side * 0.18, lean, tall), 0.035) for side in (-1, 1)]
    rungs = [
        rod((-0.2, lean * share, tall * share), (0.2, lean * share, tall * share), 0.025)
        for share in np.linspace(0.1, 0.92, count)
    ]
    return [
        Part(_joined(*rails), color, "two rails"),
        Part(_joined(*rungs), pick(rng, (color, *WOOD)), f"{COUNTS[count]} rungs"),
    ]


def _house(rng: np.random.Generator) -> list[Part]:
    x, y, tall = rng.uniform(0.8, 1.2), rng.uniform(0.7, 1.0), rng.uniform(0.5, 0.8)
    walls = box(x, y, tall)
    rise = rng.uniform(0.3, 0.5)
    roof = box(x + 0.16, y + 0.16, rise, at=(0, 0, tall))
    roof[..., 1] *= np.where(roof[..., 2] > tall + rise / 2, 0.05, 1.0)
    name = "gable roof"
    if rng.random() < 0.4:
        roof[..., 0] *= np.where(roof[..., 2] > tall + rise / 2, 0.05, 1.0)
        name = "pointed roof"
    door = box(0.2, 0.04, 0.38, at=(0, -y / 2, 0))
    windows = [box(0.18, 0.04, 0.18, at=(side * x * 0.3, -y / 2, tall * 0.5)) for side in (-1, 1)]
    windows += [box(0.04, 0.2, 0.18, at=(side * x / 2, 0, tall * 0.5)) for side in (-1, 1)]
    parts = [
        Part(walls, pick(rng, ((238, 238, 234), (226, 205, 170), *FABRIC, *STONE)), "walls"),
        Part(roof, pick(rng, ((176, 58, 46), (94, 62, 45), (60, 70, 84), (44, 110, 66))), name),
        Part(door, pick(rng, (*WOOD, *PAINT)), "door"),
        Part(_joined(*windows), (90, 150, 210), "windows"),
    ]
    if rng.random() < 0.5:
        parts.append(Part(box(0.14, 0.14, rise * 1.1, at=(x * 0.28, y * 0.2, tall)), (150, 80, 66), "chimney"))
    return parts


def _tower(rng: np.random.Generator) -> list[Part]:
    tall, wide = rng.uniform(1.2, 1.9), rng.uniform(0.24, 0.34)
    body = lathe((wide * 1.1, 0), (wide, tall), (wide * 1.2, tall), (wide * 1.2, tall + 0.12))
    windows = [box(0.08, 0.06, 0.18, at=(0, -wide, tall * share)) for share in (0.3, 0.65)]
    parts = [
        Part(body, pick(rng, STONE), "round walls"),
        Part(_joined(*windows), (40, 36, 34), "windows"),
        Part(box(0.18, 0.08, 0.3, at=(0, -wide * 1.05, 0)), pick(rng, WOOD), "door"),
    ]
    if rng.random() < 0.5:
        roof = lathe((wide * 1.35, tall + 0.12), (0.01, tall + rng.uniform(0.5, 0.8)))
        return [*parts, Part(roof, pick(rng, FABRIC), "pointed roof")]
    teeth = [
        box(0.12, 0.12, 0.13, at=(wide * 1.08 * np.cos(turn), wide * 1.08 * np.sin(turn), tall + 0.12))
        for turn in np.arange(6) * np.pi / 3
    ]
    return [*parts, Part(_joined(*teeth), parts[0].color, "battlements")]


def _wheels(x: float, places: tuple[float, ...], radius: float) -> Triangles:
    return _joined(
        *(rod((side * (x - 0.1), y, radius), (side * x, y, radius), radius) for side in (-1, 1) for y in places)
    )


def _truck(rng: np.random.Generator) -> list[Part]:
    long, paint = rng.uniform(1.4, 1.9), pick(rng, PAINT)
    cab = _joined(box(0.62, 0.45, 0.5, at=(0, -long / 2 + 0.22, 0.16)))
    glass = box(0.54, 0.47, 0.18, at=(0, -long / 2 + 0.22, 0.44))
    load = box(0.66, long - 0.5, rng.uniform(0.25, 0.7), at=(0, 0.24, 0.24))
    return [
        Part(cab, paint, "cab"),
        Part(load, pick(rng, ((238, 238, 234), *PAINT, *WOOD)), "load"),
        Part(glass, (70, 92, 108), "windows"),
        Part(_wheels(0.34, (-long / 2 + 0.25, long / 2 - 0.45, long / 2 - 0.15), 0.14), (30, 30, 32), "six wheels"),
        Part(box(0.5, long - 0.1, 0.08, at=(0, 0, 0.16)), IRON, "frame"),
    ]


def _boat(rng: np.random.Generator) -> list[Part]:
    long, wide = rng.uniform(1.0, 1.4), rng.uniform(0.2, 0.3)
    hull = ball(wide, long / 2, 0.3, at=(0, 0, 0.3))
    hull[..., 2] = np.minimum(hull[..., 2], 0.3)
    deck = ball(wide * 0.85, long * 0.43, 0.01, at=(0, 0, 0.31))
    parts = [Part(hull, pick(rng, (*PAINT, *WOOD)), "hull"), Part(deck, pick(rng, WOOD), "deck")]
    if rng.random() < 0.6:
        tall = rng.uniform(0.9, 1.2)
        sail = box(0.03, 1, 1)
        sail[..., 1] *= np.where(sail[..., 2] > 0.5, 0.05, 1.0)
        sail = sail * (1, long * 0.5, tall - 0.2) + (0, 0.05, 0.42)
        mast = rod((0, 0, 0.3), (0, 0, 0.35 + tall), 0.03)
        return [*parts, Part(sail, pick(rng, ((238, 238, 234), *FABRIC)), "sail"), Part(mast, pick(rng, WOOD), "mast")]
    cabin = box(wide * 1.1, long * 0.3, 0.22, at=(0, 0.1, 0.31))
    funnel = lathe((0.07, 0.52), (0.07, 0.75), at=(0, 0.15, 0))
    return [*parts, Part(cabin, (238, 238, 234), "cabin"), Part(funnel, pick(rng, PAINT), "funnel")]


def _airplane(rng: np.random.Generator) -> list[Part]:
    paint, span = pick(rng, ((238, 238, 234), *PAINT)), rng.uniform(1.2, 1.7)
    wide = rng.uniform(0.10, 0.15)
    body = ball(wide, 0.7, wide, at=(0, 0, 0.3))
    wings = box(span, rng.uniform(0.2, 0.32), 0.04, at=(0, 0, 0.28))
    tail = _joined(box(span * 0.35, 0.14, 0.03, at=(0, 0.6, 0.32)), box(0.03, 0.18, 0.28, at=(0, 0.6, 0.32)))
    parts = [
        Part(body, paint, "body"),
        Part(_joined(wings), pick(rng, (paint, STEEL, *PAINT)), "wings"),
        Part(tail, pick(rng, PAINT), "tail"),
        Part(ball(wide * 0.7, 0.16, 0.08, at=(0, -0.36, 0.3 + wide * 0.75)), (70, 92, 108), "cockpit"),
    ]
    if rng.random() < 0.5:
        blades = _joined(box(0.05, 0.03, 0.44, at=(0, -0.71, 0.08)), box(0.44, 0.03, 0.05, at=(0, -0.71, 0.275)))
        return [*parts, Part(blades, IRON, "propeller")]
    engines = [rod((side * span * 0.25, -0.2, 0.2), (side * span * 0.25, 0.1, 0.2), 0.07) for side in (-1, 1)]
    return [*parts, Part(_joined(*engines), STEEL, "two engines")]


def _rocket(rng: np.random.Generator) -> list[Part]:
    tall, wide, count = rng.uniform(1.0, 1.6), rng.uniform(0.14, 0.22), int(rng.integers(3, 5))
    body = lathe((wide * 0.8, 0.15), (wide, 0.4), (wide, tall * 0.75))
    nose = lathe((wide, tall * 0.75), (wide * 0.6, tall * 0.92), (0.01, tall * 1.05))
    fins = []
    for turn in 2 * np.pi * np.arange(count) / count:
        cosine, sine = np.cos(turn), np.sin(turn)
        fin = box(wide * 1.2, 0.04, 0.42, at=(wide * 1.3, 0, 0))
        fins.append(fin @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]))
    window = ball(0.07, 0.04, 0.07, at=(0, -wide, tall * 0.6))
    return [
        Part(body, pick(rng, ((238, 238, 234), STEEL, *PAINT)), "body"),
        Part(nose, pick(rng, PAINT), "nose"),
        Part(_joined(*fins), pick(rng, PAINT), f"{COUNTS[count]} fins"),
        Part(window, (90, 150, 210), "round window"),
    ]


def _hammer(rng: np.random.Generator) -> list[Part]:
    tall = rng.uniform(0.6, 0.9)
    head = box(0.36, 0.14, 0.14, at=(0, 0, tall - 0.14))
    name = "square head"
    if rng.random() < 0.5:
        head = _upright_to(lathe((0.08, -0.17), (0.08, 0.17)), "x") + np.array((0, 0, tall - 0.06))
        name = "round head"
    handle = lathe((0.045, 0), (0.035, tall * 0.5), (0.03, tall))
    grip = lathe((0.05, 0.0), (0.05, tall * 0.35))
    parts = [Part(head, pick(rng, (STEEL, IRON)), name), Part(handle, pick(rng, WOOD), "handle")]
    return [*parts, Part(grip, pick(rng, PAINT), "grip")] if rng.random() < 0.5 else parts


def _sword(rng: np.random.Generator) -> list[Part]:
    tall, wide = rng.uniform(0.9, 1.2), rng.uniform(0.05, 0.09)
    blade = box(2 * wide, 0.05, tall, at=(0, 0, 0.32))
    tip = box(2 * wide, 0.05, 0.14, at=(0, 0, tall + 0.32))
    tip[..., 0] *= np.where(tip[..., 2] > tall + 0.4, 0.05, 1.0)
    guard = box(rng.uniform(0.3, 0.44), 0.1, 0.06, at=(0, 0, 0.27))
    grip, pommel = lathe((0.04, 0.05), (0.04, 0.28)), ball(0.06, 0.06, 0.06, at=(0, 0, 0.05))
    gold: Color = (236, 180, 40)
    return [
        Part(_joined(blade, tip), pick(rng, (STEEL, (200, 206, 212))), "blade"),
        Part(_joined(guard, pommel), pick(rng, (gold, IRON, *PAINT)), "guard"),
        Part(grip, pick(rng, (*WOOD, *FABRIC)), "grip"),
    ]


def _umbrella(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.45, 0.65), rng.uniform(0.8, 1.1)
    turns = np.linspace(0, np.pi / 2, 6)
    height = wide * rng.uniform(0.4, 0.7)
    canopy = lathe(*[(wide * np.cos(turn), tall - height + height * np.sin(turn)) for turn in turns])
    canopy = canopy[np.ptp(canopy[..., 2], axis=1) > 1e-6]  # open below
    stick = rod((0, 0, 0.1), (0, 0, tall + 0.08), 0.025)
    hook = _upright_to(_handle(0.0, -0.08, 0.08, 0.09, 0.028), "x") @ np.diag([1.0, 1.0, -1.0]) + (0.08, 0, 0.1)
    return [
        Part(canopy, pick(rng, (*FABRIC, *PAINT)), "canopy"),
        Part(stick, pick(rng, (STEEL, IRON)), "stick"),
        Part(hook, pick(rng, WOOD), "handle"),
    ]


def _mushroom(rng: np.random.Generator) -> list[Part]:
    tall, wide = rng.uniform(0.35, 0.6), rng.uniform(0.24, 0.36)
    turns = np.linspace(0, np.pi / 2, 6)
    rise = wide * rng.uniform(0.5, 0.95)
    cap = lathe(*[(wide * np.cos(turn), tall + rise * np.sin(turn)) for turn in turns])
    stem = lathe((0.11, 0), (0.08, tall * 0.5), (0.09, tall + 0.02))
    parts = [
        Part(cap, pick(rng, ((200, 40, 36), (139, 94, 60), (226, 205, 170), *FABRIC)), "cap"),
        Part(stem, (238, 230, 214), "stem"),
    ]
    if rng.random() < 0.5:
        spots = []
        for turn in np.arange(6) * 2.4:
            slope = rng.uniform(0.3, 1.2)
            across = wide * np.cos(slope)
            spots.append(
                ball(0.06, 0.06, 0.04, at=(across * np.cos(turn), across * np.sin(turn), tall + rise * np.sin(slope)))
            )
        parts.append(Part(_joined(*spots), (240, 240, 236), "spots"))
    return parts


def _cactus(rng: np.random.Generator) -> list[Part]:
    tall, green = rng.uniform(0.6, 1.0), pick(rng, LEAVES)
    stem = _joined(lathe((0.12, 0.1), (0.13, tall * 0.5), (0.12, tall)), ball(0.12, 0.12, 0.1, at=(0, 0, tall)))
    arms, count = [], int(rng.integers(1, 3))
    for side in (-1, 1)[:count]:
        low = tall * rng.uniform(0.35, 0.6)
        arms += [
            rod((0, 0, low), (side * 0.28, 0, low), 0.07),
            rod((side * 0.28, 0, low), (side * 0.28, 0, low + 0.3), 0.07),
        ]
        arms.append(ball(0.07, 0.07, 0.06, at=(side * 0.28, 0, low + 0.3)))
        arms.append(ball(0.07, 0.07, 0.07, at=(side * 0.28, 0, low)))
    pot = lathe((0.16, 0), (0.22, 0.22), (0.24, 0.22), (0.24, 0.28))
    parts = [
        Part(_joined(stem, *arms), green, f"{COUNTS[count]} arm" + "s" * (count > 1)),
        Part(pot, pick(rng, ((176, 92, 62), *CERAMIC)), "pot"),
    ]
    if rng.random() < 0.4:
        parts.append(Part(ball(0.09, 0.09, 0.06, at=(0, 0, tall + 0.1)), (230, 130, 170), "flower"))
    return parts


def _fish(rng: np.random.Generator) -> list[Part]:
    color, wide, tall = pick(rng, ((230, 130, 40), *PAINT, *FABRIC)), rng.uniform(0.09, 0.16), rng.uniform(0.16, 0.3)
    body = ball(wide, 0.42, tall, at=(0, 0, 0.32))
    tail = box(0.04, 0.3, 1, at=(0, 0.5, 0))
    tail[..., 2] = 0.32 + (tail[..., 2] - 0.5) * np.where(tail[..., 1] > 0.5, 0.42, 0.08)
    back = box(0.04, 0.34, 0.16, at=(0, 0.02, 0.32 + tall * 0.85))
    sides = [box(0.2, 0.12, 0.03, at=(side * (wide + 0.06), -0.05, 0.28)) for side in (-1, 1)]
    eyes = [ball(0.035, 0.05, 0.05, at=(side * wide * 0.75, -0.26, 0.32 + tall * 0.25)) for side in (-1, 1)]
    return [
        Part(body, color, "body"),
        Part(_joined(tail, back, *sides), pick(rng, (color, *PAINT)), "fins"),
        Part(_joined(*eyes), (20, 20, 22), "eyes"),
    ]


def _snowman(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.28, 0.36)
    snow = _joined(
        ball(radius, radius, radius * 0.9, at=(0, 0, radius * 0.8)),
        ball(radius * 0.75, radius * 0.75, radius * 0.7, at=(0, 0, radius * 2.0)),
        ball(radius * 0.55, radius * 0.55, radius * 0.55, at=(0, 0, radius * 2.95)),
    )
    nose = _upright_to(lathe((0.05, 0), (0.005, 0.24)), "y") * (1, -1, 1) + (0, -radius * 0.5, radius * 2.95)
    scarf = lathe((radius * 0.58, radius * 2.45), (radius * 0.6, radius * 2.62))
    hat = lathe((radius * 0.7, radius * 3.35), (radius * 0.7, radius * 3.45), (radius * 0.45, radius * 3.45))
    top = lathe((radius * 0.45, radius * 3.45), (radius * 0.45, radius * rng.uniform(3.9, 4.3)))
    buttons = [ball(0.04, 0.04, 0.04, at=(0, -radius * 0.74, radius * z)) for z in (1.8, 2.1)]
    return [
        Part(snow, (240, 240, 236), "three snowballs"),
        Part(_joined(hat, top), pick(rng, ((30, 30, 32), *FABRIC)), "hat"),
        Part(scarf, pick(rng, FABRIC), "scarf"),
        Part(nose, (230, 130, 40), "nose"),
        Part(_joined(*buttons), (30, 30, 32), "buttons"),
    ]


def _dog(rng: np.random.Generator) -> list[Part]:
    fur: Color = pick(
        rng, ((139, 94, 60), (94, 62, 45), (226, 205, 170), (240, 240, 236), (52, 56, 60), (190, 150, 104))
    )
    tall, long = rng.uniform(0.26, 0.42), rng.uniform(0.26, 0.4)
    body = ball(0.15, long, 0.15, at=(0, 0, tall + 0.1))
    head = _joined(
        ball(0.13, 0.14, 0.13, at=(0, -long - 0.05, tall + 0.28)),
        ball(0.06, 0.12, 0.06, at=(0, -long - 0.2, tall + 0.25)),
        rod((0, -long * 0.7, tall + 0.12), (0, -long - 0.03, tall + 0.26), 0.08),
    )
    legs = _joined(
        *(rod((x, y, 0), (x, y, tall + 0.08), 0.05) for x in (-0.09, 0.09) for y in (-long * 0.65, long * 0.65))
    )
    tail = rod((0, long * 0.9, tall + 0.14), (0, long + 0.2, tall + rng.uniform(0.1, 0.4)), 0.035)
    ears = [ball(0.03, 0.06, 0.1, at=(side * 0.12, -long - 0.02, tall + 0.3)) for side in (-1, 1)]
    return [
        Part(_joined(body, head, legs, tail), fur, "fur"),
        Part(_joined(*ears), pick(rng, (fur, (94, 62, 45), (52, 56, 60))), "ears"),
        Part(ball(0.035, 0.035, 0.03, at=(0, -long - 0.31, tall + 0.27)), (20, 20, 22), "nose"),
        Part(lathe((0.1, 0), (0.1, 0.05), at=(0, -long * 0.85, tall + 0.13)), pick(rng, PAINT), "collar"),
    ]


THINGS: dict[str, Builder] = {
    **BUILDERS,
    "table": _table,
    "stool": _stool,
    "bed": _bed,
    "bookshelf": _bookshelf,
    "desk": _desk,
    "wardrobe": _wardrobe,
    "lamp": _lamp,
    "mug": _mug,
    "bowl": _bowl,
    "teapot": _teapot,
    "clock": _clock,
    "television": _television,
    "ladder": _ladder,
    "house": _house,
    "tower": _tower,
    "truck": _truck,
    "boat": _boat,
    "airplane": _airplane,
    "rocket": _rocket,
    "hammer": _hammer,
    "sword": _sword,
    "umbrella": _umbrella,
    "mushroom": _mushroom,
    "cactus": _cactus,
    "fish": _fish,
    "snowman": _snowman,
    "dog": _dog,
}
