"""Rules of edits that name what stays as it is: "leave the cubes alone", "the ball stays red", "don't touch it"."""

from dataclasses import replace

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import ALL, ONE, all_but, is_other, narrow, parts, without
from kyvo.programs.program import Earlier, Remove, Selector, Step, The, Together, Where
from kyvo.programs.structure import rewritten


def add_sparing(rule: Rules) -> None:
    same = (
        "(alone|be|in peace|unchanged|untouched|intact|as is|the same|out of (it|this)|"
        "(as|how|where|the way) (it|they) (is|are|was|were))"
    )
    rule("spared", f"(leave|keep|let) <np> {same}")
    rule("spared", "(do not|without) (touch|change|alter|modify|edit|affect) <np>")
    rule("spared", f"<np> (stays|stay|remains|remain|MUST (stay|remain|be left|be kept)) {same}")
    rule("spared", "<np1> (stays|stay|remains|remain|MUST (stay|remain)) <any>", _that_is)
    rule("spared", "<np> (stays|stay|remains|remain)", None, 0.1)
    remove = "(remove|delete|clear|erase|get rid of)"
    rule(
        "step",
        f"{remove} (everything|all|it all) [,] [(and|but)] (leave|keep) [(only|just)] <np> [(there|in THEPICTURE)]",
        lambda kept: (Remove(of=without(ALL, kept)),),
    )
    rule("orders", "<steps> [,|.] [(but|and|while)] [please] <spared> [otherwise]", _sparing)
    rule("orders", "<steps> [,|.] but (keep|leave) <np> [(there|in THEPICTURE)]", _sparing, 0.2)
    rule("orders", "<spared> [,|.] [(but|and)] [please] <steps>", lambda kept, steps: _sparing(steps, kept))


def _that_is(of: Selector, word: Selector) -> Selector:
    """ "The ball stays red" speaks of a ball that is red."""
    return replace(of, of=narrow(of.of, word)) if isinstance(of, The) else narrow(of, word)


def _sparing(steps: tuple[Step, ...], kept: Selector) -> tuple[Step, ...] | None:
    """The steps without the objects that stay as they are. "The rest" is what is left without those that were named."""
    if kept == Earlier():
        return None
    if is_other(kept) or any(is_other(node) for node in parts(kept)):
        return steps
    steps = rewritten(steps, lambda node: replace(node, without=kept) if is_other(node) else node)
    return tuple(_without(step, kept) for step in steps)


def _may_be_among(kept: The, of: Selector) -> bool:
    """Whether "the cylinder" can be one of "the rubber things", and not of "the cubes"."""
    words = {node.field: node.value for node in parts(of) if isinstance(node, Where)}
    own = [node for node in parts(kept.of) if isinstance(node, Where) and node != ONE]
    return all(words.get(node.field, node.value) == node.value for node in own)


def _without(step: Step, kept: Selector) -> Step:
    if isinstance(step, Together):
        return replace(step, steps=tuple(_without(one, kept) for one in step.steps))
    of = getattr(step, "of", None)
    if of is None or of == Earlier() or kept in parts(of):
        return step
    if isinstance(kept, The) and not isinstance(of, The) and _may_be_among(kept, of):
        return replace(step, of=all_but(of, rewritten(kept, lambda node: ALL if node == ONE else node)))  # type: ignore[call-arg]
    inner = replace(of, of=without(of.of, kept)) if isinstance(of, The) else without(of, kept)
    return replace(step, of=inner)  # type: ignore[call-arg]
