"""Furniture: tables, beds, shelves, lamps."""

import numpy as np

from kyvo.data.meshes import primitives as p


def table(rng: np.random.Generator) -> list[p.Part]:
    wood, tall = p.pick(rng, p.WOOD), rng.uniform(0.42, 0.62)
    if rng.random() < 0.5:
        radius = rng.uniform(0.38, 0.55)
        top, name = p.lathe((radius, tall - 0.05), (radius, tall)), "round top"
        if rng.random() < 0.4:
            foot = p.lathe((0.26, 0), (0.24, 0.03), (0.06, 0.06), (0.05, tall - 0.05))
            return [p.Part(top, wood, name), p.Part(foot, p.pick(rng, (*p.WOOD, p.IRON)), "single foot")]
        reach = radius * 0.75
    else:
        x, y = rng.uniform(0.8, 1.25), rng.uniform(0.5, 0.75)
        if rng.random() < 0.5:
            base = p.four_legs(x / 2 - 0.06, y / 2 - 0.06, tall - 0.05, rng.uniform(0.025, 0.045))
            return [
                p.Part(p.box(x, y, 0.05, at=(0, 0, tall - 0.05)), wood, "rectangular top"),
                p.Part(base, p.pick(rng, (*p.WOOD, p.IRON)), "four legs"),
            ]
        top, name, reach = p.box(y, y, 0.05, at=(0, 0, tall - 0.05)), "square top", y * 0.4
    count = int(rng.integers(3, 5))
    legs = p.some_legs(rng, reach=reach, height=tall - 0.05, radius=rng.uniform(0.025, 0.04), count=count)
    return [p.Part(top, wood, name), p.Part(legs, p.pick(rng, (*p.WOOD, p.IRON)), f"{p.COUNTS[count]} legs")]


def stool(rng: np.random.Generator) -> list[p.Part]:
    tall, radius, count = rng.uniform(0.4, 0.7), rng.uniform(0.17, 0.22), int(rng.integers(3, 5))
    round_seat = rng.random() < 0.6
    seat = (
        p.lathe((radius, tall - 0.06), (radius, tall))
        if round_seat
        else p.box(0.36, 0.36, 0.06, at=(0, 0, tall - 0.06))
    )
    legs = p.some_legs(rng, reach=0.13, height=tall - 0.05, radius=0.022, count=count)
    return [
        p.Part(seat, p.pick(rng, (*p.FABRIC, *p.WOOD)), "round seat" if round_seat else "square seat"),
        p.Part(legs, p.pick(rng, (*p.WOOD, p.IRON)), f"{p.COUNTS[count]} legs"),
    ]


def bed(rng: np.random.Generator) -> list[p.Part]:
    wide, long = rng.uniform(0.7, 1.3), 1.5
    wood = p.pick(rng, p.WOOD)
    head = p.box(wide, 0.06, rng.uniform(0.5, 0.75), at=(0, long / 2, 0))
    frame = p.joined(
        p.box(wide, long, 0.12, at=(0, 0, 0.14)), p.box(wide, 0.06, 0.36, at=(0, -long / 2, 0)), head,
        p.four_legs(wide / 2 - 0.06, long / 2 - 0.06, 0.16, 0.04),
    )  # fmt: skip
    count = 1 if wide < 1.0 else 2
    pillows = [
        p.box(min(0.45, wide * 0.8), 0.28, 0.09, at=(x, long / 2 - 0.22, 0.42))
        for x in ((0.0,) if count == 1 else (-wide / 4, wide / 4))
    ]
    return [
        p.Part(p.box(wide - 0.06, long - 0.1, 0.16, at=(0, 0, 0.26)), (238, 238, 234), "mattress"),
        p.Part(p.box(wide - 0.02, long * 0.62, 0.18, at=(0, -long * 0.16, 0.27)), p.pick(rng, p.FABRIC), "blanket"),
        p.Part(frame, wood, "frame"),
        p.Part(
            p.joined(*pillows), p.pick(rng, ((238, 238, 234), *p.FABRIC)), "pillow" if count == 1 else "two pillows"
        ),
    ]


def bookshelf(rng: np.random.Generator) -> list[p.Part]:
    wide, tall, deep, count = rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.5), 0.28, int(rng.integers(3, 6))
    boards = [p.box(wide, deep, 0.04, at=(0, 0, z)) for z in np.linspace(0, tall - 0.04, count)]
    sides = [p.box(0.04, deep, tall, at=(side * (wide / 2 - 0.02), 0, 0)) for side in (-1, 1)]
    back = p.box(wide, 0.02, tall, at=(0, deep / 2 - 0.01, 0))
    books: dict[p.Color, list[p.Triangles]] = {}
    colors = [p.pick(rng, p.PAINT) for _ in range(2)]
    gap = (tall - 0.04) / (count - 1) - 0.04
    for low in np.linspace(0, tall - 0.04, count)[:-1]:
        x = -wide / 2 + 0.05
        while x < wide / 2 - rng.uniform(0.1, 0.35):
            thick = rng.uniform(0.05, 0.09)
            book = p.box(thick, 0.18, gap * rng.uniform(0.6, 0.9), at=(x + thick / 2, 0, low + 0.04))
            books.setdefault(colors[int(rng.integers(2))], []).append(book)
            x += thick
    return [
        p.Part(p.joined(*boards, *sides, back), p.pick(rng, (*p.WOOD, (238, 238, 234))), "shelves"),
        *(p.Part(p.joined(*found), color, "books") for color, found in books.items()),
    ]


def desk(rng: np.random.Generator) -> list[p.Part]:
    wide, wood = rng.uniform(1.0, 1.4), p.pick(rng, (*p.WOOD, (238, 238, 234)))
    top = p.box(wide, 0.6, 0.05, at=(0, 0, 0.52))
    drawers = p.box(0.36, 0.54, 0.42, at=(wide / 2 - 0.2, 0, 0.1))
    legs = p.four_legs(wide / 2 - 0.06, 0.25, 0.52, 0.03)
    fronts = [p.box(0.3, 0.02, 0.16, at=(wide / 2 - 0.2, -0.28, z)) for z in (0.12, 0.32)]
    return [
        p.Part(p.joined(top, drawers), wood, "top"),
        p.Part(p.joined(*fronts), p.pick(rng, p.FABRIC), "two drawers"),
        p.Part(legs, p.pick(rng, (p.IRON, p.STEEL, *p.WOOD)), "four legs"),
    ]


def wardrobe(rng: np.random.Generator) -> list[p.Part]:
    wide, tall = rng.uniform(0.7, 1.0), rng.uniform(1.2, 1.5)
    body = p.box(wide, 0.42, tall, at=(0, 0, 0.06))
    crown = p.box(wide + 0.08, 0.5, 0.07, at=(0, 0, tall + 0.06))
    doors = [p.box(wide / 2 - 0.06, 0.03, tall - 0.14, at=(side * wide / 4, -0.22, 0.12)) for side in (-1, 1)]
    knobs = [p.ball(0.03, 0.03, 0.03, at=(side * 0.06, -0.25, tall * 0.52)) for side in (-1, 1)]
    return [
        p.Part(p.joined(body, crown, p.four_legs(wide / 2 - 0.05, 0.16, 0.07, 0.04)), p.pick(rng, p.WOOD), "body"),
        p.Part(p.joined(*doors), p.pick(rng, (*p.WOOD, *p.PAINT)), "two doors"),
        p.Part(p.joined(*knobs), p.pick(rng, (p.STEEL, p.IRON, (236, 180, 40))), "knobs"),
    ]


def lamp(rng: np.random.Generator) -> list[p.Part]:
    tall, wide = rng.uniform(0.45, 0.8), rng.uniform(0.16, 0.24)
    if rng.random() < 0.5:
        foot, name = p.lathe((0.14, 0), (0.13, 0.03), (0.025, 0.05), (0.02, tall)), "thin stand"
    else:
        foot, name = (
            p.lathe((0.08, 0), (0.13, tall * 0.25), (0.09, tall * 0.5), (0.02, tall * 0.6), (0.02, tall)),
            "base",
        )
    shade = p.lathe((wide, tall - 0.1), (wide * rng.uniform(0.45, 0.95), tall + 0.18))
    return [
        p.Part(foot, p.pick(rng, (p.IRON, p.STEEL, *p.CERAMIC)), name),
        p.Part(shade, p.pick(rng, ((255, 240, 190), *p.FABRIC)), "lampshade"),
    ]


def clock(rng: np.random.Generator) -> list[p.Part]:
    radius = rng.uniform(0.22, 0.32)
    is_round = rng.random() < 0.6
    middle = radius + 0.06
    face = p.upright_to(p.lathe((radius * 0.85, -0.06), (radius * 0.85, 0.075)), "y") * (1, -1, 1) + (0, 0, middle)
    if is_round:
        case = p.upright_to(p.lathe((radius, -0.06), (radius, 0.06)), "y") + np.array((0, 0, middle))
    else:
        case = p.box(2.2 * radius, 0.12, 2.2 * radius, at=(0, 0, middle - 1.1 * radius))
    hands = p.joined(
        p.rod((0, -0.085, middle), (radius * 0.5, -0.085, middle + radius * 0.2), 0.018),
        p.rod((0, -0.085, middle), (rng.uniform(-0.3, 0.3) * radius, -0.085, middle + radius * 0.65), 0.015),
    )
    feet = [p.box(0.06, 0.1, 0.07, at=(side * radius * 0.6, 0, 0)) for side in (-1, 1)]
    return [
        p.Part(case, p.pick(rng, (*p.WOOD, *p.PAINT)), "round case" if is_round else "square case"),
        p.Part(face, (238, 238, 234), "face"),
        p.Part(hands, (20, 20, 22), "hands"),
        p.Part(p.joined(*feet), p.pick(rng, (p.IRON, *p.WOOD)), "two feet"),
    ]


def television(rng: np.random.Generator) -> list[p.Part]:
    wide = rng.uniform(0.8, 1.2)
    tall = wide * rng.uniform(0.55, 0.75)
    case = p.box(wide, 0.1, tall, at=(0, 0, 0.12))
    screen = p.box(wide - 0.1, 0.02, tall - 0.1, at=(0, -0.055, 0.17))
    stand = p.joined(p.box(0.12, 0.08, 0.14, at=(0, 0.02, 0)), p.box(wide * 0.5, 0.3, 0.03))
    return [
        p.Part(screen, p.pick(rng, ((44, 94, 146), (20, 20, 22), (70, 132, 160), (58, 122, 86))), "screen"),
        p.Part(case, p.pick(rng, (p.IRON, p.STEEL, *p.WOOD)), "case"),
        p.Part(stand, p.pick(rng, (p.IRON, p.STEEL)), "stand"),
    ]


def ladder(rng: np.random.Generator) -> list[p.Part]:
    tall, count, color = rng.uniform(1.2, 1.8), int(rng.integers(4, 7)), p.pick(rng, (*p.WOOD, p.STEEL, *p.PAINT))
    lean = rng.uniform(0, 0.4)
    rails = [p.rod((side * 0.22, 0, 0), (side * 0.18, lean, tall), 0.035) for side in (-1, 1)]
    rungs = [
        p.rod((-0.2, lean * share, tall * share), (0.2, lean * share, tall * share), 0.025)
        for share in np.linspace(0.1, 0.92, count)
    ]
    return [
        p.Part(p.joined(*rails), color, "two rails"),
        p.Part(p.joined(*rungs), p.pick(rng, (color, *p.WOOD)), f"{p.COUNTS[count]} rungs"),
    ]
