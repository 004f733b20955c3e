"""Rules of superlatives and ordinals: "the leftmost", "second from the left", "closest to the camera"."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, without
from kyvo.programs.grammar.relations import CORNERS, REGIONS, RELATION_WORDS, related
from kyvo.programs.program import (
    Along,
    Bigness,
    Centrality,
    Closeness,
    Extreme,
    Farness,
    Measure,
    Selector,
    Smallness,
)

ORDINALS = {
    "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "next": 2, "2nd": 2, "3rd": 3, "4th": 4,
    "5th": 5,
}  # fmt: skip


def nearest(to: Selector, rank: int = 1) -> Selector:
    return Extreme(of=without(ALL, to), by=Closeness(to=to), rank=rank)


def extreme(by: Measure, rank: int = 1) -> Selector:
    return Extreme(of=ALL, by=by, rank=rank)


def add_superlatives(rule: Rules) -> None:
    words = {
        "left": "(leftmost|left most|far left|farthest left|furthest left|most left|leftest)",
        "right": "(rightmost|right most|far right|farthest right|furthest right|most right|rightest)",
        "front": "(frontmost|foremost|front most|closest|nearest|formost|most front)",
        "behind": (
            "(rearmost|backmost|rear most|back most|farthest back|furthest back|farthest|furthest|hindmost|"
            "(farthest|furthest|farther|further) (away|off|out)|most distant|furthest behind|farthest behind)"
        ),
        "above": "(highest|topmost|uppermost|top|upper)",
        "below": "(lowest|bottommost|lowermost|bottom|lower)",
    }
    for name, pattern in words.items():
        by = Along(direction=name)  # type: ignore[arg-type]
        rule("measure", pattern, by)
        rule("sup", {"front": "front", "behind": "(back|rear)"}.get(name, name), extreme(by), 0.2)
        if name not in ("above", "below"):
            rule("sidename", f"{REGIONS['back' if name == 'behind' else name]}", by)
            side = REGIONS["back" if name == "behind" else name]
            rule("measurepost", f"FARTHEST [away] [(to|at|toward|on|in)] [the] {side} [side] [of THEPICTURE]", by)
            rule(
                "measurepost",
                f"(on|to|at|in|toward) the (far|very|extreme|farthest|furthest|most) {side} [(side|"
                "edge)] [of THEPICTURE]",
                by,
            )
            rule("measurepost", f"[the] CLOSEST to the {side} [(side|edge)] [of THEPICTURE]", by)
            rule("measurepost", f"(most|way|all the way) (to|in|on|at) the {side}", by)
            rule("measurepost", f"(on|to|at|in) the {pattern} (side|edge|part|end)", by)
            rule(
                "suppost",
                f"FARTHEST [to] [the] {side} [side] of <np>",
                lambda to, by=by, name=name: Extreme(of=related(name, to), by=by),
            )
            rule(
                "count_from",
                f"<nth> [(one|object|thing)] (from|on|in from) [the] [far] {side} [(side|edge)]",
                lambda rank, by=by: extreme(by, rank),
            )
    rule("measure", "(largest|biggest|hugest|tallest|greatest|widest|bulkiest)", Bigness())
    rule("measure", "(smallest|tiniest|littlest|shortest|smallestt|minutest)", Smallness())
    isolated = Farness(to=ALL)
    rule("measurepost", "(FARTHEST|off|most|standing|all|far off|isolated|alone|lonely) [away] by itself", isolated)
    rule("measurepost", "by itself", isolated, 0.2)
    rule("measurepost", "[standing] [all] alone", isolated, 0.2)
    rule("measure", "(most isolated|loneliest)", isolated)
    rule("measurepost", "(closer|nearer|more close) to (the|) (CAMERA|me|us|you)", Along(direction="front"), 0.3)
    rule("measurepost", "(farther|further) [away] from (the|) (CAMERA|me|us|you)", Along(direction="behind"), 0.3)
    rule("measurepost", "(on|at|to) the [very] bottom [of THEPICTURE]", Along(direction="front"), 0.4)
    rule("measurepost", "(on|at|to) the [very] top [of THEPICTURE]", Along(direction="behind"), 0.4)
    for words, by in (("(larger|bigger|taller)", Bigness()), ("(smaller|tinier|shorter)", Smallness())):
        rule("sup", f"{words} [one] of (the|these) (two|2|pair of)", extreme(by))
    rule("measure", "(central|middle|most central|center|centermost|middlemost|middle most)", Centrality())
    rule(
        "measurepost",
        "(CLOSEST to|near|near to|close to|around|by) the (middle|center) [of (THEPICTURE|everything|all|it all)]",
        Centrality(),
    )
    for corner, pattern in CORNERS.items():
        rule("sup", f"{pattern} [(corner|side)]", extreme(Along(direction=corner)))  # type: ignore[arg-type]
    rule(
        "measurepost",
        "[JUST] (CLOSEST [to]|closest in proximity to) (the|) (CAMERA|me|us|you)",
        Along(direction="front"),
    )
    rule("measurepost", "[JUST] FARTHEST [away] from (the|) (CAMERA|me|us|you)", Along(direction="behind"))
    rule("measurepost", "(at|in|toward) the very (front|forefront)", Along(direction="front"))
    rule("suppost", "[JUST] CLOSEST to <np>", nearest)
    rule("suppost", "(nearest|closest) <def1>", nearest, 0.3)
    rule("suppost", "<nth> CLOSEST to <np>", lambda rank, to: nearest(to, rank))
    rule("measurepost", "FARTHEST [away] from <np>", lambda to: Farness(to=to))
    rule("measurepost", "FARTHEST [away] from ALLOTHERS", Farness(to=ALL), 0.0)
    for direction, pattern in RELATION_WORDS.items():
        if direction in ("left", "right", "front", "behind", "above", "below"):
            by = Along(direction=direction)  # type: ignore[arg-type]
            rule("measurepost", f"[JUST] {pattern} ALLOTHERS", by)
            others = "(every other <desc1>|(all [of] [the]|the) other <descs>|any other <desc1>)"
            rule("suppost", f"[JUST] {pattern} {others}", lambda of, by=by: Extreme(of=of, by=by), -0.1)
    for name, rank in ORDINALS.items():
        rule("nth", name, rank)
    rule("nth", "first", 1, 0.2)
    rule("sup", "<measure>", extreme)
    rule("sup", "<nth> [to the] <measure>", lambda rank, by: extreme(by, rank))
    rule("suppost", "<measurepost>", extreme)
    rule("suppost", "<nth> <measurepost>", lambda rank, by: extreme(by, rank))
    rule("suppost", "<count_from>")
