"""Rules of edits that give objects words of another one: "the same color as the ball", "make it look like the cube"."""

from collections.abc import Sequence
from functools import partial

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.lexicon import SIZE
from kyvo.programs.grammar.meaning import NO_NOUN, parts, together
from kyvo.programs.program import Selector, Set, Step, Together, WordOf
from kyvo.scene.schema import SceneSchema


def add_likeness(rule: Rules, schema: SceneSchema) -> None:
    names = [field.name for field in schema.fields if field.words]
    rule(
        "step",
        "(MAKE|give|get) <target> [(be|have|to be|in|of)] [(of|made of)] the (same|identical) <field> (as|"
        "of|like|that) [that of] <one_target> [has]",
        _like,
    )
    rule("step", "(MAKE|give|lend) <target> [(in|to|into|have|with)] the <field> of <one_target>", _like)
    rule(
        "step",
        "(MAKE|give|get) <target> [(be|have|to be|in|of)] [(of|made of)] the (same|identical) <field> and [the] [same] "
        "<field> (as|of|like) <one_target>",
        lambda of, a, b, to: together(_like(of, a, to), _like(of, b, to)) if a != b else None,
    )
    rule("step", "<target> should (have|be) the same <field> as <one_target>", _like)
    rule(
        "step",
        "(MAKE|give|set) the <field> of <target> (to|) [be] [(the same as|like|that of|equal to|"
        "match)] [the <field> of|that of] <one_target>",
        lambda field, of, *v: _like(of, field, v[-1]),
        0.1,
    )
    rule(
        "step",
        "(make|have|let) <target> (match|share) [the] <field> of <one_target>",
        _like,
    )
    rule("step", "(make|have|let) <target> (match) <one_target> in <field>", lambda of, to, field: _like(of, field, to))
    match = "((make|have|let) <target> match|(change|adjust|update|alter|edit) <target> to match)"
    rule("step", f"{match} <one_target> 's <field>", lambda of, to, field: _like(of, field, to))
    rule(
        "step",
        "(match|copy) the <field> of <target> to [(that of|the <field> of)] <one_target>",
        lambda field, of, *v: _like(of, field, v[-1]),
    )
    rule("ofother", "[(the|a)] [same] <field> (of|as|like) [that of] <one_target>", lambda field, to: (field, to))
    rule("ofother", "<one_target> 's <field>", lambda to, field: (field, to))
    get = "(have|get|take|take on|adopt|receive|match|copy|share)"
    alike = lambda of, other: _like(of, *other)  # noqa: E731
    rule("step", f"<target> (needs|need|takes|take|takes on|take on|gets|get|adopts|adopt|MUST {get}) <ofother>", alike)
    rule(
        "step",
        f"(let|make|have|give) <target> [{get}] the <field> and [the] <field> of <one_target>",
        lambda of, a, b, to: together(_like(of, a, to), _like(of, b, to)) if a != b else None,
    )
    exactly = "[(completely|totally)]"
    whole = partial(_all_like, names)
    rule(
        "step",
        f"make <target> [be|to be] {exactly} (look (exactly|just) like|identical to|the same as) <one_target>",
        whole,
        0.2,
    )
    rule(
        "step",
        f"<target> MUST (be|look) {exactly} ((exactly|just) like|identical to|the same as) <one_target>",
        whole,
        0.2,
    )
    rule("step", f"(let|make|have) <target> {get} <ofother>", alike)
    rule("step", f"IWANT <target> [to] (be|become|{get}) <ofother>", alike)
    rule("step", "<target> MUST (be|become) <ofother>", alike)
    rule("step", "(bring|put|get) <target> (in|into|to) <ofother>", alike, 0.3)
    rule("step", "MAKE <target> so [that] (it|they) (is|are|has|have|gets|get) <ofother>", alike)
    rule("step", "MAKE <target> [in|to] <ofother>", alike)
    rule("theirs", "[the] <field> of <one_target>", lambda field, to: (field, to))
    rule("theirs", "<one_target> 's <field>", lambda to, field: (field, to))
    rule(
        "step",
        "(apply|copy|transfer|use|give|pass) <theirs> (to|onto|on|for|over to) <target>",
        lambda other, of: _like(of, *other),
    )
    rule("step", "match <target> 's <field> (to|with) <one_target>", _like)
    rule("step", "match <target> (to|with) <one_target> in <field>", lambda of, to, field: _like(of, field, to))
    rule("step", "<target> MUST match <one_target> in <field>", lambda of, to, field: _like(of, field, to))
    if "color" in names:
        rule(
            "step",
            "<target> MUST be (painted|colored|recolored) (like|the same as|to match) <one_target>",
            lambda of, to: _like(of, "color", to),
        )
        rule(
            "step",
            "(can|could|may) <target> be (painted|colored|recolored) (like|the same as|to match) <one_target>",
            lambda of, to: _like(of, "color", to),
        )
        rule(
            "step",
            "(paint|color|dye|recolor|repaint) <target> (like|the same as|to match|so [that] (it|they) (match|matches)|"
            "to be like) <one_target>",
            lambda of, to: _like(of, "color", to),
        )
    if SIZE in names:
        rule(
            "step", "make <target> [just] as (big|large|small|tall) as <one_target>", lambda of, to: _like(of, SIZE, to)
        )
        rule("step", "make <target> the same size as <one_target>", lambda of, to: _like(of, SIZE, to))
        rule(
            "step",
            "<target> MUST (be|become|get) (as (big|large|small|tall)|[of] the same size) as <one_target>",
            lambda of, to: _like(of, SIZE, to),
        )


def _like(of: Selector, field: str, to: Selector) -> tuple[Step, ...] | None:
    if NO_NOUN in parts(of):
        return None  # "change the color of the red cube" names one object
    return (Set(of=of, field=field, to=WordOf(of=to, field=field)),)


def _all_like(fields: Sequence[str], of: Selector, to: Selector) -> tuple[Step, ...]:
    """Every word of another object: "make it look like the cube"."""
    steps = (Set(of=of, field=field, to=WordOf(of=to, field=field)) for field in fields)
    return (Together(steps=tuple(steps)),)
