"""Rules of references to earlier turns: "it", "the block you just moved", "the ones that you have not touched yet"."""

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, narrow, the, without
from kyvo.programs.program import Earlier, Selector

EVER = 1_000  # a turn that stands for all turns; `references` puts those of the dialogue in its place
_DONE = {
    "changed": "(moved|changed|touched|edited|moved around|painted|recolored|placed|put|shifted|pushed|stacked|rotated"
    "|turned|modified|updated)",
    "added": "(added|created|placed|made|inserted|put in|built)",
    "removed": "(removed|deleted|took away|destroyed|taken away|took out)",
    "mentioned": "(mentioned|asked about|talked about|named|spoke of|meant)",
}
_NTH = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}
_BY = (
    "([(that|which)] (you|i|we|you have|i have|we have)|(that|which) (was|were|have been|has been|is|are)) "
    "[(just|previously|recently|last|already|first|initially)]"
)
_WHEN = "[(just now|just before|before|previously|earlier|last|last time|a moment ago|recently|just|last turn)]"
_AT_FIRST = "(at the [very|first] (beginning|start)|initially|originally|first|at first)"


def add_dialogue(rule: Rules) -> None:
    """Rules of `past`, which follows a noun, and of `pastadj`, which stands before it."""
    for role, done in _DONE.items():
        _add_role(rule, role, done, 0.0 if role == "changed" else 0.1)
    for name, turn in _NTH.items():
        rule("nthpast", name, turn)
    untouched = without(ALL, Earlier(role="changed", turn=EVER))
    rule(
        "past",
        "[(that|which)] (you|i|we|have|has) [have] (not|never) [been] (moved|touched|changed|move|touch) [yet]",
        untouched,
    )
    rule("past", "[(that|which)] (you|i|we) did not (move|touch|change) [yet]", untouched)
    rule("pastadj", "(unmoved|untouched|unchanged|remained|remaining|last remaining|last remained)", untouched)
    rule("post1", "<past>")
    rule("any", "<pastadj>")
    rule("def1", "what <past>")
    rule("def1", "the last (<desc1>|<descs>) <past>", lambda of, past: the(narrow(of, past)))
    rule("def1", "the <nthpast> (<desc1>|<descs>) <past>", _of_turn)
    rule("def1", "the (previous|last|former|latest) <desc1>", lambda of: the(narrow(of, Earlier(role="changed"))), 0.3)


def _add_role(rule: Rules, role: str, done: str, cost: float) -> None:
    last, first = Earlier(role=role), Earlier(role=role, turn=0)  # type: ignore[arg-type]
    rule("past", f"{_BY} {done} {_WHEN}", last, cost)
    rule("past", f"{_BY} {done} {_AT_FIRST}", first, cost)
    rule("past", f"[(that|which)] (you|i|we|was|were) (first|initially) {done}", first, cost)
    rule("past", f"{_AT_FIRST} {done}", first, cost)
    rule("pastadj", f"(just|previously|recently|last|lastly) {done}", last, cost + 0.1)
    rule("pastadj", done, Earlier(role=role, turn=EVER), cost + 0.2)  # type: ignore[arg-type]
    rule("pastadj", f"(initially|first|originally) {done}", first, cost)
    for name, turn in _NTH.items():
        then = Earlier(role=role, turn=turn)  # type: ignore[arg-type]
        rule("past", f"{_BY} {done} (at|for|in|on|) [the] {name} [(time|turn|place|step|of all)]", then, cost)


def _of_turn(turn: int, of: Selector, past: Selector) -> Selector | None:
    """The first one that was moved: of the first turn that moved some."""
    if not isinstance(past, Earlier) or past.turn != -1:
        return None
    return the(narrow(of, Earlier(role=past.role, turn=turn)))
