"""Furniture: tables, beds, shelves, lamps."""

import numpy as np

from kyvo.data.meshes.primitives import (
    CERAMIC,
    COUNTS,
    FABRIC,
    IRON,
    PAINT,
    STEEL,
    WOOD,
    Color,
    Part,
    Triangles,
    ball,
    box,
    four_legs,
    joined,
    lathe,
    pick,
    rod,
    some_legs,
    upright_to,
)


def table(rng: np.random.Generator) -> list[Part]:
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
    legs = some_legs(rng, reach=reach, height=tall - 0.05, radius=rng.uniform(0.025, 0.04), count=count)
    return [Part(top, wood, name), Part(legs, pick(rng, (*WOOD, IRON)), f"{COUNTS[count]} legs")]


def stool(rng: np.random.Generator) -> list[Part]:
    tall, radius, count = rng.uniform(0.4, 0.7), rng.uniform(0.17, 0.22), int(rng.integers(3, 5))
    round_seat = rng.random() < 0.6
    seat = lathe((radius, tall - 0.06), (radius, tall)) if round_seat else box(0.36, 0.36, 0.06, at=(0, 0, tall - 0.06))
    legs = some_legs(rng, reach=0.13, height=tall - 0.05, radius=0.022, count=count)
    return [
        Part(seat, pick(rng, (*FABRIC, *WOOD)), "round seat" if round_seat else "square seat"),
        Part(legs, pick(rng, (*WOOD, IRON)), f"{COUNTS[count]} legs"),
    ]


def bed(rng: np.random.Generator) -> list[Part]:
    wide, long = rng.uniform(0.7, 1.3), 1.5
    wood = pick(rng, WOOD)
    head = box(wide, 0.06, rng.uniform(0.5, 0.75), at=(0, long / 2, 0))
    frame = joined(
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
        Part(joined(*pillows), pick(rng, ((238, 238, 234), *FABRIC)), "pillow" if count == 1 else "two pillows"),
    ]


def bookshelf(rng: np.random.Generator) -> list[Part]:
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
        Part(joined(*boards, *sides, back), pick(rng, (*WOOD, (238, 238, 234))), "shelves"),
        *(Part(joined(*found), color, "books") for color, found in books.items()),
    ]


def desk(rng: np.random.Generator) -> list[Part]:
    wide, wood = rng.uniform(1.0, 1.4), pick(rng, (*WOOD, (238, 238, 234)))
    top = box(wide, 0.6, 0.05, at=(0, 0, 0.52))
    drawers = box(0.36, 0.54, 0.42, at=(wide / 2 - 0.2, 0, 0.1))
    legs = four_legs(wide / 2 - 0.06, 0.25, 0.52, 0.03)
    fronts = [box(0.3, 0.02, 0.16, at=(wide / 2 - 0.2, -0.28, z)) for z in (0.12, 0.32)]
    return [
        Part(joined(top, drawers), wood, "top"),
        Part(joined(*fronts), pick(rng, FABRIC), "two drawers"),
        Part(legs, pick(rng, (IRON, STEEL, *WOOD)), "four legs"),
    ]


def wardrobe(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.7, 1.0), rng.uniform(1.2, 1.5)
    body = box(wide, 0.42, tall, at=(0, 0, 0.06))
    crown = box(wide + 0.08, 0.5, 0.07, at=(0, 0, tall + 0.06))
    doors = [box(wide / 2 - 0.06, 0.03, tall - 0.14, at=(side * wide / 4, -0.22, 0.12)) for side in (-1, 1)]
    knobs = [ball(0.03, 0.03, 0.03, at=(side * 0.06, -0.25, tall * 0.52)) for side in (-1, 1)]
    return [
        Part(joined(body, crown, four_legs(wide / 2 - 0.05, 0.16, 0.07, 0.04)), pick(rng, WOOD), "body"),
        Part(joined(*doors), pick(rng, (*WOOD, *PAINT)), "two doors"),
        Part(joined(*knobs), pick(rng, (STEEL, IRON, (236, 180, 40))), "knobs"),
    ]


def lamp(rng: np.random.Generator) -> list[Part]:
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


def clock(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.22, 0.32)
    is_round = rng.random() < 0.6
    middle = radius + 0.06
    face = upright_to(lathe((radius * 0.85, -0.06), (radius * 0.85, 0.075)), "y") * (1, -1, 1) + (0, 0, middle)
    if is_round:
        case = upright_to(lathe((radius, -0.06), (radius, 0.06)), "y") + np.array((0, 0, middle))
    else:
        case = box(2.2 * radius, 0.12, 2.2 * radius, at=(0, 0, middle - 1.1 * radius))
    hands = joined(
        rod((0, -0.085, middle), (radius * 0.5, -0.085, middle + radius * 0.2), 0.018),
        rod((0, -0.085, middle), (rng.uniform(-0.3, 0.3) * radius, -0.085, middle + radius * 0.65), 0.015),
    )
    feet = [box(0.06, 0.1, 0.07, at=(side * radius * 0.6, 0, 0)) for side in (-1, 1)]
    return [
        Part(case, pick(rng, (*WOOD, *PAINT)), "round case" if is_round else "square case"),
        Part(face, (238, 238, 234), "face"),
        Part(hands, (20, 20, 22), "hands"),
        Part(joined(*feet), pick(rng, (IRON, *WOOD)), "two feet"),
    ]


def television(rng: np.random.Generator) -> list[Part]:
    wide = rng.uniform(0.8, 1.2)
    tall = wide * rng.uniform(0.55, 0.75)
    case = box(wide, 0.1, tall, at=(0, 0, 0.12))
    screen = box(wide - 0.1, 0.02, tall - 0.1, at=(0, -0.055, 0.17))
    stand = joined(box(0.12, 0.08, 0.14, at=(0, 0.02, 0)), box(wide * 0.5, 0.3, 0.03))
    return [
        Part(screen, pick(rng, ((44, 94, 146), (20, 20, 22), (70, 132, 160), (58, 122, 86))), "screen"),
        Part(case, pick(rng, (IRON, STEEL, *WOOD)), "case"),
        Part(stand, pick(rng, (IRON, STEEL)), "stand"),
    ]


def ladder(rng: np.random.Generator) -> list[Part]:
    tall, count, color = rng.uniform(1.2, 1.8), int(rng.integers(4, 7)), pick(rng, (*WOOD, STEEL, *PAINT))
    lean = rng.uniform(0, 0.4)
    rails = [rod((side * 0.22, 0, 0), (side * 0.18, lean, tall), 0.035) for side in (-1, 1)]
    rungs = [
        rod((-0.2, lean * share, tall * share), (0.2, lean * share, tall * share), 0.025)
        for share in np.linspace(0.1, 0.92, count)
    ]
    return [
        Part(joined(*rails), color, "two rails"),
        Part(joined(*rungs), pick(rng, (color, *WOOD)), f"{COUNTS[count]} rungs"),
    ]
