"""Macros of patterns: names for sets of words that many rules use."""

MACROS = {
    "THEPICTURE": "(the|this|that|our|your|a) PICTURE",
    "PICTURE": "(picture|image|photo|photograph|scene|view|frame|pic|drawing|group|grouping|display|table|"
    "workspace|board|room|world|floor|ground|screen|area|space|shot|illustration|set)",
    "STANDS": "(stands|stand|sits|sit|lies|lie|rests|rest|lays|lay|appear|appears)",
    "OTHERS": (
        "([the] other THINGS|another|others|one of the others|(a few|some|several|any) of the [other] THINGS|"
        "something|something else|another (object|one|"
        "shape|thing|item)|other THINGS|some other (object|thing))"
    ),
    "CAMERA": "(camera|viewer|us|me|front|foreground|observer|lens|bottom of THEPICTURE|edge of the table)",
    "ISARE": "(is|are|was|were|be)",
    "RIGHT": (
        "(right|correct|true|yes|(is|was) (that|this|it) (right|correct|true|so)|is it not|is not it|is that|"
        "am i (right|correct)|do you agree)"
    ),
    "THAT": "(that|which|who)",
    "STAND": (
        "(located|placed|standing|sitting|positioned|situated|found|lying|resting|set|hiding|laying|stood|sat|"
        "seated|stacked)"
    ),
    "JUST": (
        "[(directly|right|just|immediately|exactly|also|both|somewhere|slightly|far|close|all|still|already|currently|"
        "only|sort of|fully|completely|entirely|all the way)]"
    ),
    "FARTHEST": "(farthest|furthest|farthest away|furthest away|far most|most far|farther|further|most distant)",
    "CLOSEST": "(closest|nearest|most close|nearest in distance)",
    "VERY": "[(very|far|extreme|most)]",
    "THINGS": "(things|objects|items|shapes|ones|pieces|solids|figures|others|elements|bodies)",
    "ALLOTHERS": (
        "(all [of] [the] [other] THINGS|all others|all the others|everything else|everything|"
        "every other (object|thing|item|shape|one)"
        "|the (other|remaining) THINGS|the others|the rest [of (the THINGS|them)]|all the rest|"
        "any other (object|thing|shape|item)|"
        "all of the others)"
    ),
}
