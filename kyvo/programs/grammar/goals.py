"""Rules of places: where a moved, copied or new object goes, and how far."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.relations import CORNERS, REGIONS
from kyvo.programs.program import (
    At,
    Before,
    Beside,
    Earlier,
    InLine,
    Midway,
    Move,
    NextTo,
    Offset,
    OnTop,
    Place,
    PlaceOf,
    Point,
    Selector,
    Step,
    Toward,
)

A_BIT = 0.5  # units: "slightly"


A_LOT = 2.0


AWAY = 1.0  # "away from it"


def add_amounts(rule: Rules, units: str) -> None:
    """Rules of numbers and distances. Meters, and parts of them, are distances where the scene's `units` are."""
    unit = "(unit|units|step|steps|space|spaces|block|blocks|place|places|spot|spots|square|squares|cell|cells)"
    about = "[by] [a distance of] [about|around|roughly|exactly|approximately]"
    if units == "m":
        for names, length in (
            ("m|meter|meters", 1.0),
            ("cm|centimeter|centimeters", 0.01),
            ("mm|millimeter|millimeters", 0.001),
        ):
            rule("dist", f"{about} <num> ({names}) [(further|farther|more|away)]", lambda far, by=length: far * by)
    rule("num", "#")
    rule("num", "<int>", float, 0.01)
    rule("num", "(half a|half|a half|one half)", 0.5)
    rule("num", "(one and a half|a and a half)", 1.5)
    rule("num", "<int> and a half", lambda value: value + 0.5)
    rule("num", "(a quarter|quarter|a quarter of a)", 0.25)
    rule("num", "(a|an|another)", 1.0)
    rule("num", "(a couple [of]|a pair of)", 2.0)
    rule(
        "dist",
        f"{about} <num> {unit} [(further|farther|more|away)]",
    )
    rule(
        "dist",
        "[by|just] (a [(little|tiny|small|wee)] bit|slightly|a little|a tad|a touch|a small amount|"
        "somewhat|a smidge|a hair) [(more|further|farther|closer)]",
        A_BIT,
    )
    rule("dist", "[by] (a lot|far|much|way|a long way|a great deal) [(more|further|farther)]", A_LOT, 0.1)
    rule("dist", "[by] <num> [(further|farther|more)]", None, 0.5)


def add_places(rule: Rules) -> None:
    rule(
        "goal",
        "[(to|at|into|in)] [(a place|a spot|somewhere|a position)] [JUST] <side> <one_target>",
        lambda side, to: Beside(direction=side, to=to),
    )
    rule(
        "goal",
        "[(to|at)] [(a place|a spot|a position)] <dist> [JUST] <side> <one_target>",
        lambda far, side, to: Beside(direction=side, to=to, distance=far),
    )
    rule(
        "goal",
        "[JUST] <side> <one_target> (at a distance of|by|at) <dist>",
        lambda side, to, far: Beside(direction=side, to=to, distance=far),
    )
    rule(
        "goal",
        "(next to|near|beside|close to|by|adjacent to) <one_target> [,] [(to|on|at)] (its|the) <itsside> [hand] [side]",
        lambda to, side: Beside(direction=side, to=to),
    )
    rule(
        "goal",
        "[to] <one_target> 's [immediate] <itsside> [hand] [side]",
        lambda to, side: Beside(direction=side, to=to),
        0.1,
    )
    rule(
        "goal",
        "[(to|on|at)] [the] <itsside> [hand] side of <one_target>",
        lambda side, to: Beside(direction=side, to=to),
        0.1,
    )
    rule(
        "goal",
        "[(to|on)] (its|their) [immediate] <itsside> [hand] [side]",
        lambda side: Beside(direction=side, to=Earlier()),
        0.1,
    )
    for name, words in {
        "left": (
            "([to|on|at|onto] the [very|far|immediate] left [hand] [side] of|left of|on the left from|[to|"
            "on] the left from|[to|on|at] left side of|(to|on|at) left of)"
        ),
        "right": (
            "([to|on|at|onto] the [very|far|immediate] right [hand] [side] of|right of|on the right from|[to|"
            "on] the right from|[to|on|at] right side of|(to|on|at) right of)"
        ),
        "front": (
            "(in front of|to the front [side] of|ahead of|before|on the front side of|in the front of|"
            "at the front of|front of)"
        ),
        "behind": (
            "(behind|in back of|to the (back|rear) [side] of|[to] the behind of|at the back of|beyond|"
            "on the (rear|back) side of|to the rear of|in the back of)"
        ),
        "below": "(below|under|underneath|beneath)",
    }.items():
        rule("side", words, name)
    for corner, words in CORNERS.items():
        rule("side", f"[(to|on|at|in)] [the] [(diagonal|diagonally)] {words} [hand] [(corner|side)] of", corner)
    rule(
        "goal",
        "[(right|directly|just|immediately)] [to] (next to|near|near to|beside|close to|adjacent to|"
        "alongside|by|by the side of|against|up against|in the vicinity of|touching|in contact with|nearby|"
        "to the side of|closest to) <one_target>",
        lambda to: NextTo(to=to),
    )
    for corner, words in CORNERS.items():
        rule("corner", f"{words} corner", corner)
    rule(
        "goal",
        "so [that] (one corner|one of its corners|its <corner>|the <corner> of it) (touches|"
        "meets) the <corner> of <one_target>",
        lambda *v: Beside(direction=v[-2], to=v[-1]),
    )
    rule(
        "goal",
        "so [that] (one corner|one of its corners|its <corner>|the <corner> of it) (touches|"
        "meets) <one_target> 's <corner>",
        lambda *v: Beside(direction=v[-1], to=v[-2]),
    )
    rule("goal", "so [that] <goaltouch>")
    corner = "[its|his] (<corner>|<corner> corner|<corner> edge) (touches|meets|touch|is touching)"
    rule("goaltouch", f"{corner} <one_target> 's <corner>", lambda *v: Beside(direction=v[-1], to=v[-2]))
    rule("goaltouch", f"{corner} the <corner> of <one_target>", lambda *v: Beside(direction=v[-2], to=v[-1]))
    rule(
        "goaltouch",
        "(it|they) (touches|touch|is touching|are touching|can touch) <one_target>",
        lambda to: NextTo(to=to),
    )
    rule("goaltouch", "(it|they) (is|are|can be|stands|lies) <goal>")
    for way in ("left", "right", "front", "behind"):
        words = {"front": "front", "behind": "(back|rear)"}.get(way, way)
        rule(
            "goal",
            f"(to|on|at) [the] [very] {words} [hand] [side] of (itself|where it (is|stands|was))",
            Offset(direction=way),  # type: ignore[arg-type]
        )
    rule(
        "goal",
        "[(right|somewhere|halfway|midway|exactly)] [in|to] (between|in between|in the middle of|"
        "inbetween) <np1> and <np1>",
        lambda a, b: Midway(first=a, second=b),
    )
    rule(
        "goal",
        "[(right|somewhere|halfway|midway)] [in|to] (between|in between|in the middle of) <twonp>",
        lambda pair: Midway(first=pair[0], second=pair[1]),
    )
    rule(
        "goal",
        "[to|right|directly] (on top of|on the top of|onto|on to|atop|above|over|on|upon|to the top of|"
        "at the top of|on top) <one_target>",
        lambda of: OnTop(of=of),
    )
    # parts of the picture
    # "into the middle" is where it goes; "in the middle" may as well say which one is meant
    for into, cost in (("[(to|into|onto|toward|all the way to)]", 0.05), ("(in|on|at)", 0.4)):
        _add_parts(rule, f"{into} [the] [(very|far|extreme)]", cost)
    # from where it stands
    for name, words in {
        "left": "([(to|toward)] [the] left [side]|leftward|left hand side)",
        "right": "([(to|toward)] [the] right [side]|rightward)",
        "front": (
            "(forward|[(to|toward)] [the] front|closer [to the CAMERA]|nearer [to the CAMERA]|toward (me|us|"
            "the CAMERA|you)|ahead|to the fore)"
        ),
        "behind": (
            "(backward|(to|toward) [the] (back|rear)|farther [away]|further [away]|further back|away from (me|"
            "us|the CAMERA)|away)"
        ),
        "above": "(up|upward|higher)",
        "below": "(down|downward|lower)",
    }.items():
        rule("way", words, name)
    rule("way", "(back|rear)", "behind", 0.4)
    rule("goal", "<way>", lambda way: Offset(direction=way), 0.1)
    rule(
        "goal",
        "[further|farther|straight|over] <way> [by|about] <dist>",
        lambda way, far: Offset(direction=way, distance=far),
    )
    rule("goal", "<dist> [further|farther|over|more] <way>", lambda far, way: Offset(direction=way, distance=far))
    rule("goal", "(further|farther|more|over) <way>", lambda way: Offset(direction=way))
    rule("goal", "(toward|closer to|nearer to|nearer|in the direction of) <one_target>", lambda to: Toward(to=to))
    rule(
        "goal",
        "<dist> (toward|closer to|nearer to|nearer|in the direction of) <one_target>",
        lambda far, to: Toward(to=to, distance=far),
    )
    rule("goal", "(toward|closer to) <one_target> <dist>", lambda to, far: Toward(to=to, distance=far))
    rule(
        "goal",
        "(away from|farther from|further from|farther away from|further away from) <one_target>",
        lambda to: Toward(to=to, distance=-AWAY),
    )
    rule(
        "goal",
        "<dist> (away from|farther from|further from|farther away from|further away from) <one_target>",
        lambda far, to: Toward(to=to, distance=-far),
    )
    rule(
        "goal",
        "(away from|farther from|further from) <one_target> <dist>",
        lambda to, far: Toward(to=to, distance=-far),
    )
    rule("signed", "<num>")
    rule("signed", "minus <num>", lambda value: -value)
    rule(
        "goal",
        "[(to|at|to the)] [(point|position|coordinates|location)] ([x] [=] <signed> (,|and) [y] [=]|"
        "x [=] <signed> y [=]) <signed>",
        lambda x, y: Point(x=x, y=y),
    )
    rule(
        "goal",
        "[(to|at)] [(point|position|coordinates|location)] [x] [=] <signed> , [y] [=] <signed> , [z] [=] <signed>",
        lambda x, y, z: Point(x=x, y=y, z=z),
    )
    # places of others, places of before
    spot = "(position|place|spot|location)"
    rule(
        "goal",
        f"[(to|in|at|into)] [(the|that)] [{spot}] (where|wherever) <one_target> (is|was|stands|stood|are|were|"
        "used to be|is now) [(before|originally|standing|now|at first)]",
        _stood,
    )
    rule("goal", f"(to|in|at|into) the {spot} of <one_target>", lambda of: PlaceOf(of=of))
    rule("goal", f"(to|in|at|into) <one_target> 's {spot}", lambda of: PlaceOf(of=of))
    rule(
        "goal",
        f"back [again] [(to|where|in)] [(where it was|its (original|old|previous|former|first|last) {spot}|"
        f"it was|where it came from|where it stood|where it was before|its {spot}|where they were|"
        "their (original|old|previous) (places|positions|place))] [before]",
        Before(),
    )
    rule(
        "goal",
        f"[back] (to|in) (its|their) (original|old|previous|former|last|initial) ({spot}|places|positions)",
        Before(),
    )
    rule("goal", "[back] [to] where (it|they) (was|were|stood|came from) [(before|originally|at first)]", Before())
    rule(
        "goal",
        "(in the same row as|in a row with|in line with|level with|in one line with|in one row with|"
        "on the same line as|in the row of) <np>",
        lambda to: InLine(to=to, direction="left"),
    )
    rule(
        "goal",
        "(in the same column as|in a column with|in one column with|in the column of) <np>",
        lambda to: InLine(to=to, direction="front"),
    )


def _stood(of: Selector) -> Place:
    return Before() if of == Earlier() else PlaceOf(of=of)


def move(of: Selector, *places: Place) -> tuple[Step, ...]:
    return tuple(Move(of=of, place=place) for place in places)


def _add_parts(rule: Rules, into: str, cost: float) -> None:
    """Parts of the picture as goals."""
    of = "[(of|in) THEPICTURE]"
    for region, words in REGIONS.items():
        at = At(region=region)  # type: ignore[arg-type]
        rule("goal", f"{into} {words} [hand] (side|half|part|section|area|edge|portion|end) {of}", at, cost)
        rule("goal", f"{into} {words} of THEPICTURE", at, cost)
        if region == "middle":
            rule("goal", f"{into} {words} [(point|spot)] [of everything]", at, cost)
            continue
        edge = At(region=f"{region} middle")  # type: ignore[arg-type]
        halves = (
            f"({words} center|center {words}|middle {words}|{words} middle|middle of the {words}|center of the {words})"
        )
        rule("goal", f"(in|on|at|to) [the] {halves} [(side|point|edge|area)] {of}", edge, 0.05)
        rule("goal", f"{into} {halves} [(side|point|edge|area)] {of}", edge, cost)
        if not into.startswith("["):
            rule("goal", f"{into} {words}", at, cost)
    for region, words in CORNERS.items():
        at = At(region=region)  # type: ignore[arg-type]
        rule("goal", f"{into} {words} [hand] [(corner|side|part|area|quarter|point)] {of}", at, cost)
    for region, words in REGIONS.items():
        if region != "middle":
            rule("goal", f"(all the way|as far as possible) (to|in|on) the {words}", At(region=region))  # type: ignore[arg-type]
            rule("goal", f"as far [(to|toward|in)] [the] {words} as possible", At(region=region))  # type: ignore[arg-type]
            rule("goal", f"to the (far|very|extreme) {words} [side]", At(region=region))  # type: ignore[arg-type]
