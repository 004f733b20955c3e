"""Rules of edits: what can be changed in a scene, where things can go, and the ways to say it."""

from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import SIZE, kind_field
from kyvo.programs.grammar.meaning import ALL, either, narrow, the, without
from kyvo.programs.grammar.nouns import CORNERS, REGIONS
from kyvo.programs.program import (
    Add,
    Align,
    At,
    Before,
    Beside,
    Copy,
    Earlier,
    InLine,
    Literally,
    Midway,
    Move,
    NextTo,
    Offset,
    OnTop,
    Place,
    PlaceOf,
    Point,
    Remove,
    Replace,
    Resize,
    Rotate,
    Selector,
    Set,
    Step,
    Swap,
    The,
    Toward,
    WordOf,
)
from kyvo.scene.schema import SceneSchema

A_BIT = 0.5  # units: "slightly"
A_LOT = 2.0
AWAY = 1.0  # "away from it"
QUARTER = 90.0  # degrees, where a turn has no amount

EDIT_MACROS = {
    "MOVE": "(move|put|place|shift|push|slide|bring|drag|take|set|relocate|transfer|position|carry|send|pull|nudge|get|stick|transport|reposition|lay|drop|stand|locate|insert|stack|attach|scoot|throw|leave|stow|store|mount|hang|rest|shove|pick and place|arrange|fit|return)",
    "PICKUP": "(pick up|take|grab|get|lift up|lift|grasp|find|pick|hold|pull out|collect|look for|locate|select|choose|fetch|seize|pickup)",
    "PUTDOWN": "(put|place|set|move|set it down|drop|stack|position|bring|lay|stand|put down|set down|attach|slide|push|shift|drag|take|relocate|return)",
    "DELETE": "(remove|delete|erase|destroy|get rid of|take away|throw away|throw out|clear away|eliminate|discard|hide|break|dispose of|take out|wipe out|kill|clear|lose|drop|dump|vanish|smash|demolish|clear out|scrap|cut|cut out|exclude|strip)",
    "MAKE": "(make|turn|paint|color|recolor|dye|have|render|let|repaint|spray|spray paint|tint|convert|transform|change|switch|set|modify|alter|edit|update)",
    "CREATE": "(add|create|insert|put|place|make|build|draw|generate|introduce|bring in|spawn|set down|put in|put down|drop|drop in|stack|set|include|attach|append|position|construct|give me|want|would like|would like to see|need|show|have|produce|lay|stick|throw in|bring|plop)",
}


def add_edits(rule: Rules, schema: SceneSchema) -> None:
    """All rules of edits. Their symbol is `steps`, the steps of an edit."""
    rule.macros |= EDIT_MACROS
    _add_sequences(rule)
    _add_targets(rule)
    _add_amounts(rule)
    _add_places(rule)
    _add_moves(rule)
    _add_removals(rule)
    _add_settings(rule, schema)
    _add_additions(rule, schema)
    _add_rearrangements(rule)


def _add_sequences(rule: Rules) -> None:
    rule("steps", "<step>")
    rule("steps", "<step> <andthen> <steps>", lambda first, _, rest: first + rest)
    rule(
        "andthen",
        "([.] [,] and [then|also|finally|afterwards|lastly|next|now|after that] [,]|[.] [,] [and] then|(.|,) [(also|next|finally|afterwards|after that|now|lastly|secondly)] [,]|[.] [,] [and] (after that|afterwards|after which|following that|next|finally|subsequently) [,]|(.|,) please|while also|followed by)",
        0,
    )


def _add_targets(rule: Rules) -> None:
    """What an edit is about: "a cube" is one of them, and which is asked back where there are several."""
    some = "(a|an|one|some|any|another|one of the|any one of the|any of the|either of the|either)"
    rule("target", "<defs>")
    rule("target", f"{some} (<desc1>|<descs>)", the, 0.5)
    rule("one_target", "<def1>")
    rule("one_target", f"{some} (<desc1>|<descs>)", the, 0.1)
    rule("itself", "(it|them|that|this|those|these|that one|this one|the (object|thing|item|block))", Earlier())


def _add_amounts(rule: Rules) -> None:
    unit = "(unit|units|step|steps|meter|meters|space|spaces|block|blocks|place|places|spot|spots|square|squares|cell|cells|m)"
    rule("num", "#")
    rule("num", "<int>", float, 0.01)
    rule("num", "(half a|half|a half|one half)", 0.5)
    rule("num", "(one and a half|a and a half)", 1.5)
    rule("num", "<int> and a half", lambda value: value + 0.5)
    rule("num", "(a quarter|quarter|a quarter of a)", 0.25)
    rule("num", "(a|an|another)", 1.0)
    rule("num", "(a couple [of]|a pair of)", 2.0)
    rule("dist", f"[by] [about|around|roughly|exactly|approximately] <num> {unit} [(further|farther|more|away)]")
    rule(
        "dist",
        "[by|just] (a [(little|tiny|small|wee)] bit|slightly|a little|a tad|a touch|a small amount|somewhat|a smidge|a hair|a few centimeters) [(more|further|farther|closer)]",
        A_BIT,
    )
    rule("dist", "[by] (a lot|far|much|way|a long way|a great deal) [(more|further|farther)]", A_LOT, 0.1)
    rule("dist", "[by] <num> [(further|farther|more)]", None, 0.5)


def _add_places(rule: Rules) -> None:
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
        "left": "([to|on|at|onto] the [very|far|immediate] left [hand] [side] of|left of|on the left from|[to|on] the left from|[to|on] left side of|to left of)",
        "right": "([to|on|at|onto] the [very|far|immediate] right [hand] [side] of|right of|on the right from|[to|on] the right from|[to|on] right side of|to right of)",
        "front": "(in front of|to the front [side] of|ahead of|before|on the front side of|in the front of|at the front of|front of)",
        "behind": "(behind|in back of|to the (back|rear) [side] of|[to] the behind of|at the back of|beyond|on the (rear|back) side of|to the rear of|in the back of)",
        "below": "(below|under|underneath|beneath)",
    }.items():
        rule("side", words, name)
    for corner, words in CORNERS.items():
        rule("side", f"[(to|on|at|in)] [the] [(diagonal|diagonally)] {words} [hand] [(corner|side)] of", corner)
    rule(
        "goal",
        "[(right|directly|just|immediately)] [to] (next to|near|near to|beside|close to|adjacent to|alongside|by|by the side of|against|up against|in the vicinity of|touching|in contact with|nearby|to the side of|closest to) <one_target>",
        lambda to: NextTo(to=to),
    )
    for corner, words in CORNERS.items():
        rule("corner", f"{words} corner", corner)
    rule(
        "goal",
        "so [that] (one corner|one of its corners|its <corner>|the <corner> of it) (touches|meets) the <corner> of <one_target>",
        lambda *v: Beside(direction=v[-2], to=v[-1]),
    )
    rule(
        "goal",
        "so [that] (one corner|one of its corners|its <corner>|the <corner> of it) (touches|meets) <one_target> 's <corner>",
        lambda *v: Beside(direction=v[-1], to=v[-2]),
    )
    rule("goal", "so [that] (it|they) (touches|touch|is touching|are touching) <one_target>", lambda to: NextTo(to=to))
    rule(
        "goal",
        "[(right|somewhere|halfway|midway|exactly)] [in|to] (between|in between|in the middle of|inbetween) <np1> and <np1>",
        lambda a, b: Midway(first=a, second=b),
    )
    rule(
        "goal",
        "[(right|somewhere|halfway|midway)] [in|to] (between|in between|in the middle of) <twonp>",
        lambda pair: Midway(first=pair[0], second=pair[1]),
    )
    rule(
        "goal",
        "[to|right|directly] (on top of|on the top of|onto|on to|atop|above|over|on|upon|to the top of|at the top of|on top) <one_target>",
        lambda of: OnTop(of=of),
    )
    # parts of the picture
    inside = "[(to|in|into|on|at|onto|toward|all the way to)] [the] [(very|far|extreme)]"
    for region, words in REGIONS.items():
        at = At(region=region)  # type: ignore[arg-type]
        rule(
            "goal",
            f"{inside} {words} [hand] (side|half|part|section|area|edge|portion|end) [(of|in) THEPICTURE]",
            at,
            0.05,
        )
        rule("goal", f"{inside} {words} of THEPICTURE", at)
        if region == "middle":
            rule("goal", f"{inside} {words} [point|spot] [of everything]", at)
        else:
            middle = At(region=f"{region} middle")  # type: ignore[arg-type]
            rule(
                "goal",
                f"[(to|in|into|on|at)] [the] ({words} center|center {words}|middle {words}|{words} middle|middle of the {words}|center of the {words}) [(side|point|edge)] [of THEPICTURE]",
                middle,
            )
            rule("goal", f"(in|into|on|at) the {words}", at, 0.1)
            rule("goal", f"(all the way|as far as possible) (to|in|on) the {words}", at)
            rule("goal", f"(to|in|on|at) the (far|very|extreme) {words} [side]", at)
    for region, words in CORNERS.items():
        at = At(region=region)  # type: ignore[arg-type]
        rule("goal", f"{inside} {words} [hand] [(corner|side|part|area|quarter|point)] [of THEPICTURE]", at)
    # from where it stands
    for name, words in {
        "left": "([(to|toward)] [the] left [side]|leftward|left hand side)",
        "right": "([(to|toward)] [the] right [side]|rightward)",
        "front": "(forward|[(to|toward)] [the] front|closer [to the CAMERA]|nearer [to the CAMERA]|toward (me|us|the CAMERA|you)|ahead|to the fore)",
        "behind": "(backward|(to|toward) [the] (back|rear)|farther [away]|further [away]|further back|away from (me|us|the CAMERA)|away)",
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
        "<dist> (away from|farther from|further from|farther away from|further away from|from) <one_target>",
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
        "[(to|at|to the)] [(point|position|coordinates|location)] [x] [=] <signed> [,|and] [y] [=] <signed>",
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
        f"[(to|in|at|into)] [(the|that)] [{spot}] where <one_target> (is|was|stands|stood|are|were|used to be|is now) [(before|originally|standing|now|at first)]",
        _stood,
    )
    rule("goal", f"(to|in|at|into) the {spot} of <one_target>", lambda of: PlaceOf(of=of))
    rule("goal", f"(to|in|at|into) <one_target> 's {spot}", lambda of: PlaceOf(of=of))
    rule(
        "goal",
        f"back [again] [(to|where|in)] [(where it was|its (original|old|previous|former|first|last) {spot}|it was|where it came from|where it stood|where it was before|its {spot}|where they were|their (original|old|previous) (places|positions|place))] [before]",
        Before(),
    )
    rule(
        "goal",
        f"[back] (to|in) (its|their) (original|old|previous|former|last|initial) ({spot}|places|positions)",
        Before(),
    )
    rule("goal", f"[back] [to] where (it|they) (was|were|stood|came from) [(before|originally|at first)]", Before())
    rule(
        "goal",
        "(in the same row as|in a row with|in line with|level with|in one line with|in one row with|on the same line as|in the row of) <np>",
        lambda to: InLine(to=to, direction="left"),
    )
    rule(
        "goal",
        "(in the same column as|in a column with|in one column with|in the column of) <np>",
        lambda to: InLine(to=to, direction="front"),
    )


def _stood(of: Selector) -> Place:
    return Before() if of == Earlier() else PlaceOf(of=of)


def _move(of: Selector, *places: Place) -> tuple[Step, ...]:
    return tuple(Move(of=of, place=place) for place in places)


def _add_moves(rule: Rules) -> None:
    rule(
        "step",
        "MOVE <target> [so that it stands|until it is|so that it is|until it stands|so it is|such that it is|to be|so they are|over|down|directly|straight|such that it stands] <goal>",
        _move,
    )
    rule("step", "stack <target> (to|with|and) <one_target>", lambda of, to: _move(of, OnTop(of=to)), 0.1)
    rule("step", "stack <defs> on (it|top of it|top)", lambda of: _move(of, OnTop(of=Earlier())), 0.1)
    rule("step", "MOVE <goal> <target>", lambda place, of: _move(of, place), 0.8)
    rule(
        "step",
        "PICKUP <target> [,|.] (and|then|and then|to) PUTDOWN [<itself>] [down|back down] <goal>",
        lambda of, *v: _move(of, v[-1]),
        0.0,
    )
    rule("step", "MOVE <target> <goal> [,] and <one_target> <goal>", lambda a, x, b, y: _move(a, x) + _move(b, y), 0.2)
    rule("step", "MOVE <target> <goal> and <goal>", _move, 0.2)
    rule(
        "step",
        "(i want|i would like|i need|let|have|want) <target> (to be|be|to stand|stand|to go|go|moved|placed|put|move|to move|sit|to sit) <goal>",
        _move,
    )
    rule(
        "step",
        "<target> (should|must|needs to|has to|ought to|shall) (be|stand|go|move|be moved|be placed|be put|sit|be standing) <goal>",
        _move,
    )
    rule(
        "step",
        "<target> (should be|must be|is to be|gets|has to be|needs to be) (moved|placed|put|shifted|pushed|slid|brought|stacked) <goal>",
        _move,
    )
    rule("step", "<target> (moves|goes|belongs) <goal>", _move, 0.2)
    rule("step", "(from where it is|from its place|from there) [,] MOVE <target> <goal>", _move)
    rule(
        "step", "(attach|stick|glue|connect|join|fix) <target> to <one_target>", lambda of, to: _move(of, NextTo(to=to))
    )
    rule(
        "step",
        "(move|bring|take|push|slide|drag|carry|pull|get|put|place) <target> to <one_target>",
        lambda of, to: _move(of, NextTo(to=to)),
        0.6,
    )
    rule(
        "step",
        "(bring|move|push|pull|get|put) <np1> and <np1> (closer together|together|closer to each other|next to each other)",
        lambda a, b: _move(a, NextTo(to=b)),
    )
    rule("step", "(lift|raise|lift up|raise up) <target> [up]", lambda of: _move(of, Offset(direction="above")), 1.0)
    rule(
        "step",
        "(lift|raise|lift up|raise up) <target> [up] [by] <dist>",
        lambda of, far: _move(of, Offset(direction="above", distance=far)),
        0.2,
    )
    rule(
        "step",
        "(lower) <target> [down] [by] <dist>",
        lambda of, far: _move(of, Offset(direction="below", distance=far)),
    )
    rule("step", "center <target>", lambda of: _move(of, At(region="middle")))


def _add_removals(rule: Rules) -> None:
    gone = lambda of: (Remove(of=of),)  # noqa: E731
    rule("step", "DELETE <target> [(from|out of|off|off of) THEPICTURE] [too|away|there|completely]", gone)
    rule(
        "step",
        "(take|throw|clear|move|put|wipe|cut|get) <target> (away|out|off|out of THEPICTURE|off THEPICTURE|out of here|from THEPICTURE)",
        gone,
    )
    rule(
        "step",
        "(i want|i would like|want|i need|have) <target> (gone|removed|deleted|to be gone|to be removed|to disappear|to go away|out|out of THEPICTURE|away|to vanish)",
        gone,
    )
    rule("step", "(let|make|have) <target> (disappear|vanish|go away)", gone)
    rule(
        "step",
        "(i do not (want|need)|i no longer want|i do not want to see) <target> [(any more|anymore|here|there|any longer)]",
        gone,
    )
    rule(
        "step",
        "<target> (should|must|has to|needs to|can|may) (go|be removed|be deleted|disappear|go away|be gone|vanish|be destroyed|be erased|be taken away|leave)",
        gone,
    )
    rule("step", "(show|show me|give me|draw) THEPICTURE without <target>", gone)
    rule(
        "step",
        "(remove|delete|clear|empty|erase|wipe) (everything|all|THEPICTURE|the (whole|entire) PICTURE|it all|all of it|all of them)",
        (Remove(of=ALL),),
        0.05,
    )
    rule(
        "step",
        "(keep|leave|retain) (only|just|nothing but) <np> [(there|in THEPICTURE)]",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )
    rule(
        "step",
        "(remove|delete|erase|destroy|get rid of|clear away|take away) (everything|all|all [of] [the] THINGS) (except|but|except for|apart from|besides|other than|that is not|that are not) (<np>|<anyset>)",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )
    rule("anyset", "<descs>")
    rule(
        "step",
        "(leave|keep) <np> (and|but) (remove|delete|destroy) (everything else|the rest|all others|all the others|the others|all other THINGS)",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )


def _add_settings(rule: Rules, schema: SceneSchema) -> None:
    kind = kind_field(schema)
    rule("setword", "(<value>|<kindvalue>)", lambda word: (word,))
    rule(
        "setword",
        "<value> [,] [and] <value> [(one|thing|object)]",
        lambda a, b: (a, b) if a.field != b.field else None,
        0.1,
    )
    rule("setword", "(a|an) <newwords>", lambda words: words)
    rule("newwords", "<value> [colored|colour|sized|finish]", lambda word: (word,))
    rule("newwords", "<kindvalue>", lambda word: (word,))
    rule(
        "newwords",
        "<newwords1> <newwords>",
        lambda a, rest: None if a.field in {word.field for word in rest} else (a, *rest),
    )
    rule(
        "newwords",
        "<newwords1> [,|and] <newwords1> (one|thing|object|item|shape)",
        lambda a, b: (a, b) if a.field != b.field else None,
    )
    rule("newwords", "<newwords1> (one|thing|object|item|shape)", lambda a: (a,))
    rule("newwords1", "(<value>|<kindvalue>) [colored|,|and]")
    rule(
        "step",
        "MAKE <target> [(to be|be|become|look|to|into|in|as|to look|so that it is|over to|turn|to become|over)] <setword>",
        _set,
    )
    rule(
        "step",
        "MAKE <target> [(be|become|to|into)] <setword> [,] and <target> <setword>",
        lambda a, x, b, y: _set(a, x) + _set(b, y),
        0.1,
    )
    rule(
        "step",
        "(i want|i would like|want|i need|have|let) <target> (to be|be|to become|become|to turn|turn|to look|in) <setword>",
        _set,
    )
    rule(
        "step",
        "<target> (should|must|needs to|has to|shall|will|ought to) (be|become|turn|turn into|look|be made|be painted|be turned into|be changed to) <setword>",
        _set,
    )
    rule("step", "<target> (becomes|turns|turns into|gets|is now|is to be) <setword>", _set, 0.2)
    rule("step", "(from now on|now) <target> (is|are) <setword>", _set)
    rule(
        "step",
        "(give|get) <target> [(a|the|some)] [new] <value> [(finish|coat|color|paint|surface|texture|look|coating|shape)]",
        lambda of, word: _set(of, (word,)),
    )
    rule("step", "(give|lend) <target> a new <field> [(.|,)] <anyword>", _set_field)
    rule("step", "(update|take|consider) <target> [(.|,)] [and] its <field> is now <anyword>", _set_field)
    rule("step", "(instead of what it is now) [,] make <target> <setword>", _set)
    rule(
        "step",
        "leave (all|everything) as it is [,] but for the <field> of <target> [,] which becomes <anyword>",
        lambda field, of, word: _set_field(of, field, word),
    )
    rule("anyword", "(<value>|<kindvalue>)")
    verbs = "(change|set|switch|make|turn|modify|alter|update|convert|adjust|edit|put)"
    rule(
        "step",
        f"{verbs} the <field> of <target> (to|into|be|as|) [(be|become|a|an)] <anyword>",
        lambda field, of, word: _set_field(of, field, word),
    )
    rule("step", f"{verbs} (the|) <target> 's <field> (to|into|be|) [be] <anyword>", _set_field)
    rule(
        "step",
        f"{verbs} (its|their) <field> (to|into|be|) [be] <anyword>",
        lambda field, word: _set_field(Earlier(), field, word),
    )
    rule(
        "step",
        f"{verbs} (the|) <field> [(to|into)] <anyword>",
        lambda field, word: _set_field(Earlier(), field, word),
        0.5,
    )
    rule(
        "step",
        f"(find|take|look at|get|see|pick|consider) <target> [,] (and|then) {verbs} its <field> (to|into|be|) <anyword>",
        _set_field,
    )
    rule(
        "step",
        "(find|take|look at|get|see|pick|consider) <target> [,] (and|then) give it a new <field> [(.|,)] <anyword>",
        _set_field,
    )
    rule(
        "step",
        "the <field> of <target> (should|must|has to|needs to|shall) (be|become) <anyword>",
        lambda field, of, word: _set_field(of, field, word),
    )
    rule(
        "step",
        "(i want|i would like|let) the <field> of <target> [to] (be|become) <anyword>",
        lambda field, of, word: _set_field(of, field, word),
    )
    rule("step", "<target> needs another <field> [(.|,)] set it to <anyword>", _set_field)
    # of the same word as another
    like = lambda of, field, to: (Set(of=of, field=field, to=WordOf(of=to, field=field)),)  # noqa: E731
    rule(
        "step",
        "(MAKE|give|get) <target> [(be|have|to be|in|of)] [(of|made of)] the (same|identical) <field> (as|of|like|that) [that of] <one_target> [has]",
        like,
    )
    rule("step", "<target> should (have|be) the same <field> as <one_target>", like)
    rule(
        "step",
        "(MAKE|give|set) the <field> of <target> (to|) [be] [(the same as|like|that of|equal to|match)] [the <field> of|that of] <one_target>",
        lambda field, of, *v: like(of, field, v[-1]),
        0.1,
    )
    rule(
        "step",
        "(make|have|let) <target> (match|share) [the] <field> of <one_target>",
        lambda of, field, to: like(of, field, to),
    )
    rule("step", "(make|have|let) <target> (match) <one_target> in <field>", lambda of, to, field: like(of, field, to))
    rule("step", "(make|have|let) <target> (match) <one_target> 's <field>", lambda of, to, field: like(of, field, to))
    rule(
        "step",
        "(match|copy) the <field> of <target> to [(that of|the <field> of)] <one_target>",
        lambda field, of, *v: like(of, field, v[-1]),
    )
    names = [field.name for field in schema.fields if field.words]
    if "color" in names:
        rule(
            "step",
            "(paint|color|dye|recolor) <target> (like|the same as|to match) <one_target>",
            lambda of, to: like(of, "color", to),
        )
    if SIZE in names:
        rule(
            "step", "make <target> [just] as (big|large|small|tall) as <one_target>", lambda of, to: like(of, SIZE, to)
        )
        rule("step", "make <target> the same size as <one_target>", lambda of, to: like(of, SIZE, to))
    if kind:
        rule(
            "step",
            "(turn|make|change|convert|transform) <target> [into] (a|an) <kindvalue> [(instead|shape)]",
            lambda of, word: _set(of, (word,)),
        )
    # larger and smaller
    for larger, words, verb in (
        (True, "(bigger|larger|taller|greater)", "(enlarge|grow|scale up|blow up|increase|magnify|expand|upsize)"),
        (False, "(smaller|tinier|littler|shorter)", "(shrink|scale down|reduce|decrease|diminish|downsize|minimize)"),
    ):
        size = lambda of, far=None, big=larger: (Resize(of=of, larger=big),)  # noqa: E731
        rule(
            "step",
            f"(make|turn|get|have|let|render) <target> [(become|be|a bit|a little|slightly|much|even|a lot|a bit more)] {words}",
            size,
        )
        rule("step", f"{verb} [the size of] <target> [in size]", size)
        rule("step", f"<target> (should|must|needs to) (be|become|get) [(a bit|slightly|a little|much)] {words}", size)
        factor = lambda of, by, big=larger: (Resize(of=of, larger=big, factor=by),) if by > 0 else None  # noqa: E731
        rule("step", f"{verb} [the size of] <target> by [a factor of] <num> [times]", factor)
        rule("step", f"make <target> <num> times {words}", factor)
        rule("step", f"make <target> {words} by [a factor of] <num>", factor)
        rule("step", f"make <target> <times> (as big|as large|the size|{words})", lambda of, by: _scaled(of, by))
    rule("step", "(scale|resize) <target> by [a factor of] <num>", lambda of, by: _scaled(of, by))
    rule("step", "make <target> <num> times as (big|large|small)", lambda of, by: _scaled(of, by))
    rule("step", "double [the size of] <target> [in size]", lambda of: _scaled(of, 2.0))
    rule("step", "halve [the size of] <target> [in size]", lambda of: _scaled(of, 0.5))
    rule("times", "(twice|double)", 2.0)
    rule("times", "(half)", 0.5)


def _scaled(of: Selector, factor: float) -> tuple[Step, ...] | None:
    if factor <= 0 or factor == 1:
        return None
    return (Resize(of=of, larger=factor > 1, factor=factor if factor > 1 else 1 / factor),)


def _set(of: Selector, words: tuple[Literally, ...]) -> tuple[Step, ...]:
    """One step for each word; those after the first speak of the same objects."""
    return tuple(Set(of=of if place == 0 else Earlier(), field=word.field, to=word) for place, word in enumerate(words))


def _set_field(of: Selector, field: str, word: Literally) -> tuple[Step, ...] | None:
    return (Set(of=of, field=field, to=word),) if word.field == field else None


def _add_additions(rule: Rules, schema: SceneSchema) -> None:
    rule("newthing", "<newwords>")
    rule("newthing", "(thing|object|item|shape)", ())
    rule("newthing", "<newwords> (thing|object|item|shape|one)")
    rule("newthings", "<newkinds>")
    rule("newthings", "(things|objects|items|shapes|ones)", ())
    rule("newkinds", "<kinds>", lambda of: (Literally(field=of.field, value=of.value),))
    rule(
        "newthings",
        "<newwords1> <newthings>",
        lambda a, rest: None if a.field in {word.field for word in rest} else (a, *rest),
    )
    rule(
        "newone",
        "(a|an|another|one|one more|an additional|a new|an extra|a second|some|a single|one new|yet another) [(new|more|extra)] <newthing>",
        lambda words: (words, 1),
    )
    rule(
        "newone",
        "<int> [(more|new|extra|additional|other)] <newthings>",
        lambda count, words: (words, count) if count > 1 else None,
    )
    rule("newone", "(a couple of|a pair of) [(more|new)] <newthings>", lambda words: (words, 2))
    rule("newone", "[new] <newwords>", lambda words: (words, 1), 0.7)
    rule("toscene", "[(to|in|into|on) THEPICTURE] [,] [there] [and (stand|place|put|set) (it|them)]", 0)
    rule("step", "[(i|we|you)] CREATE <newone> <toscene>", lambda new, _: _added(new))
    rule(
        "step",
        "[(i|we|you)] CREATE <newone> <toscene> [,|.] [at|standing|so that it is] <goal>",
        lambda new, _, place: _added(new, place),
    )
    rule("step", "[(at|)] <goal> [,] CREATE <newone>", lambda place, new: _added(new, place))
    rule("step", "(let|have) <newone> (stand|be|appear|sit|be placed) <goal>", _added)
    rule("step", "(there (should|must|shall) be|it should have|i would like to have|add in) <newone> [<goal>]", _added)
    rule("step", "there (should|must|shall) be <newone> [<goal>]", _added)
    rule(
        "step",
        "(bring in|create|make|build|get|take) <newone> [,] and (stand|place|put|set|position|drop|stack) it <goal>",
        _added,
    )
    rule("step", "THEPICTURE (lacks|needs|is missing) <newone> [(.|,)] [(put|place|set) it <goal>]", _added)
    rule(
        "step",
        "find <one_target> and place <newone> <distside> it",
        lambda to, new, where: _added(new, Beside(direction=where[1], to=to, distance=where[0])),
    )
    rule(
        "step",
        "find <one_target> and MOVE <target> to <distside> it",
        lambda to, of, where: _move(of, Beside(direction=where[1], to=to, distance=where[0])),
    )
    rule("distside", "<dist> <side>", lambda far, side: (far, side))
    rule("distside", "<side>", lambda side: (None, side))
    rule(
        "step",
        "take <one_target> as the mark [(.|,)] <distside> it goes <newone>",
        lambda to, where, new: _added(new, Beside(direction=where[1], to=to, distance=where[0])),
    )
    rule(
        "step",
        "look <side> <one_target> [(.|,)] [and] (delete|remove) <target> there",
        lambda side, to, of: (Remove(of=_beside(of, side, to)),),
    )
    rule(
        "step",
        "look <side> <one_target> [(.|,)] the <field> of <target> there should be <anyword>",
        lambda side, to, field, of, word: _set_field(_beside(of, side, to), field, word),
    )
    # copies
    rule("step", "(copy|duplicate|clone|replicate) <one_target> [<goal>]", lambda of, *place: _copied(of, 1, *place))
    rule(
        "step",
        "(copy|duplicate|clone) <one_target> and PUTDOWN (it|the copy|the duplicate|the clone|one) <goal>",
        lambda of, place: _copied(of, 1, place),
    )
    rule(
        "step",
        "(make|add|create|put|place) <copycount> (copy|copies|duplicate|duplicates|clone|clones) of <one_target> [(and|,)] [(put|place|set)] [it] [<goal>]",
        lambda count, of, *place: _copied(of, count, *place),
    )
    rule(
        "step",
        "(make|add|create|put|place) <copycount> [(more|other|new|)] (one|ones|object|objects|thing) (like|just like|the same as|identical to) <one_target> [<goal>]",
        lambda count, of, *place: _copied(of, count, *place),
    )
    rule(
        "step",
        "(copy|duplicate|clone) <one_target> <times_count> [<goal>]",
        lambda of, count, *place: _copied(of, count, *place),
    )
    rule("times_count", "<int> times")
    rule("times_count", "twice", 2)
    rule("times_count", "once", 1)
    rule("copycount", "(a|an|another|one more|one)", 1)
    rule("copycount", "<int>", None, 0.1)
    # replacing
    with_ = "(with|by|for|against)"
    rule(
        "step",
        f"(replace|substitute|exchange|swap|switch|swap out|switch out|change) <target> {with_} <newone>",
        lambda of, new: (Replace(of=of, words=_literals(new[0])),) if new[1] == 1 and new[0] else None,
    )
    rule(
        "step",
        f"(replace|substitute|exchange|swap out|swap) <target> {with_} <newthings>",
        lambda of, words: (Replace(of=of, words=words),) if words else None,
        0.1,
    )
    rule(
        "step",
        "(substitute|put) <newone> (for|in place of|instead of) <target>",
        lambda new, of: (Replace(of=of, words=_literals(new[0])),),
    )
    rule(
        "step",
        "put <newone> where <target> (is|was|stands)",
        lambda new, of: (Replace(of=of, words=_literals(new[0])),),
    )


def _beside(of: Selector, side: Any, to: Selector) -> Selector:
    from kyvo.programs.program import Related

    inner = of.of if isinstance(of, The) else of
    return the(narrow(inner, Related(of=ALL, relation=side, to=to)))


def _literals(words: tuple[Literally, ...]) -> tuple[Literally, ...]:
    return words


def _added(new: tuple[tuple[Literally, ...], int], place: Place | None = None) -> tuple[Step, ...] | None:
    words, count = new
    if isinstance(place, Offset):
        place = (
            At(region={"behind": "back"}.get(place.direction, place.direction))
            if place.direction not in ("above", "below")
            else None
        )  # type: ignore[arg-type]
    if isinstance(place, Before | Toward | InLine):
        return None
    return (Add(words=words, place=place, count=count),) if count >= 1 else None


def _copied(of: Selector, count: int, place: Place | None = None) -> tuple[Step, ...]:
    return (Copy(of=of, place=place, count=count),)


def _add_rearrangements(rule: Rules) -> None:
    swap = "(swap|exchange|switch|interchange|trade|flip|reverse)"
    places = "(places|positions|locations|place|position|location|spots)"
    rule(
        "step",
        f"{swap} [the {places} of] <one_target> (and|with|for) <one_target> [(around|{places}|with each other|over)]",
        lambda a, b: (Swap(first=a, second=b),),
        0.1,
    )
    rule(
        "step",
        f"{swap} [the {places} of] <twonp> [(around|{places}|with each other|over)]",
        lambda pair: (Swap(first=pair[0], second=pair[1]),),
    )
    rule(
        "step",
        f"{swap} (the|) (<fields>|<field>) of <np1> (and|with) [(that of|those of)] <np1>",
        lambda field, a, b: (Swap(first=a, second=b, field=field),),
    )
    rule(
        "step",
        f"{swap} (the|) (<fields>|<field>) of <twonp>",
        lambda field, pair: (Swap(first=pair[0], second=pair[1], field=field),),
    )
    rule("step", f"(let|have|make) <np1> and <np1> {swap} {places}", lambda a, b: (Swap(first=a, second=b),))
    rule(
        "step",
        f"(let|have|make) <np1> and <np1> {swap} (<fields>|<field>)",
        lambda a, b, field: (Swap(first=a, second=b, field=field),),
    )
    rule("step", f"{swap} <np1> and <np1> in <field>", lambda a, b, field: (Swap(first=a, second=b, field=field),))
    # turns
    turn = "(rotate|turn|spin|twist|pivot)"
    rule("sense", "(clockwise|right|to the right|rightward|toward the right)", -1.0)
    rule(
        "sense",
        "(counterclockwise|counter clockwise|anticlockwise|anti clockwise|left|to the left|leftward|toward the left)",
        1.0,
    )
    rule("angle", "[by] <signed> (degrees|degree|deg)")
    rule("angle", "[by] (a quarter turn|a quarter [of a turn]|90)", QUARTER)
    rule("angle", "(by half a turn|by a half turn|half a turn|halfway around|around|upside down)", 2 * QUARTER)
    rotated = lambda of, degrees: (Rotate(of=of, degrees=degrees),)  # noqa: E731
    rule("step", f"{turn} <target> <angle>", rotated)
    rule("step", f"{turn} <target> <angle> <sense>", lambda of, angle, sense: rotated(of, angle * sense))
    rule("step", f"{turn} <target> <sense> <angle>", lambda of, sense, angle: rotated(of, angle * sense))
    rule("step", f"{turn} <target> <sense>", lambda of, sense: rotated(of, QUARTER * sense))
    rule("step", f"{turn} <sense> <target>", lambda sense, of: rotated(of, QUARTER * sense), 0.2)
    rule("step", f"(rotate|spin) <target>", lambda of: rotated(of, QUARTER), 0.2)
    rule("step", f"PICKUP <target> and {turn} (it|them) <sense>", lambda of, sense: rotated(of, QUARTER * sense))
    # lines
    align = "(align|line up|arrange|put|place|order|set up|lay out|bring|straighten out|organize)"
    row = "([up] (in|into|on|along|to|as) (a|one|the same|the|a single|a straight) (row|line|straight line|horizontal line) [(from left to right|side by side|left to right)]|[up] from left to right|side by side|in a horizontal line)"
    column = "([up] (in|into|as) (a|one|the same|a single) (column|vertical line) [(from front to back)]|[up] (in a line|) from front to back|one behind the other|behind each other|behind one another)"
    pile = "(on top of (one another|each other)|in a (stack|pile|tower|column)|into a (stack|pile|tower)|on each other)"
    rule(
        "step",
        f"(stack|pile|line up|put|place|arrange|pile up|stack up) <np> [up] {pile}",
        lambda of: (Align(of=of, direction="above"),),
    )
    rule("step", "(stack|pile|pile up) <np> [up]", lambda of: (Align(of=of, direction="above"),), 0.2)
    rule(
        "step",
        "(build|make) a (tower|stack|pile) (of|from|with|out of) [all] <np>",
        lambda of: (Align(of=of, direction="above"),),
    )
    for line, direction in ((row, "left"), (column, "front")):
        lined = lambda of, d=direction: (Align(of=of, direction=d),)  # noqa: E731
        rule("step", f"{align} <np> {line}", lined)
        rule(
            "step",
            f"make (a row|a line) (of|from) <np>" if direction == "left" else "make a column (of|from) <np>",
            lined,
        )
    rule("step", "(align|line up|straighten out) <np>", lambda of: (Align(of=of, direction="left"),), 0.2)
    rule(
        "step",
        "(align|line up|level) <target> (with|to|along) <one_target>",
        lambda of, to: (Align(of=of, direction="left", to=to),),
    )
    rule(
        "step",
        "(align|line up) <target> (with|to|along) [the] <itsside> side of <one_target>",
        lambda of, side, to: _move(of, Beside(direction=side, to=to)),
    )
    rule(
        "step",
        "(align|line up) <target> (with|to|along) <side> <one_target>",
        lambda of, side, to: _move(of, Beside(direction=side, to=to)),
    )
    rule(
        "step",
        "MOVE <target> and (align|line up) it (with|to|along) <side> <one_target>",
        lambda of, side, to: _move(of, Beside(direction=side, to=to)),
    )


_ = either
