"""Rules of edits that give each of several objects a word of its own: "red, green and blue from left to right"."""

from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.meaning import together
from kyvo.programs.grammar.settings import set_words
from kyvo.programs.program import Along, Direction, Extreme, Literally, Selector, Set, Step, The, Together

Words = tuple[Literally, ...]


def add_pairings(rule: Rules) -> None:
    rule("eachword", "<anyword> [,] and <anyword>", lambda *words: words)
    rule("eachword", "<anyword> , <anyword>", lambda *words: words, 0.1)
    rule("eachword", "<anyword> , <eachword>", lambda first, rest: (first, *rest))
    rule("eachfield", "<fields>", 0)
    ways = {
        "left": "[the] left to [the] right",
        "right": "[the] right to [the] left",
        "front": "[the] front to [the] (back|rear)",
        "behind": "[the] (back|rear) to [the] front",
    }
    for direction, words in ways.items():
        rule("inorder", f"[(ordered|going|seen|in order)] [from] {words}", direction)
    rule("step", "MAKE <target> [(to|into|in|be)] <eachword> [,] <inorder>", _in_order)
    rule(
        "step",
        "(MAKE|give) <target> [,] <inorder> [,] [the <eachfield>] <eachword>",
        lambda of, way, *words: _in_order(of, words[-1], way),
    )
    rule("step", "<inorder> [,] MAKE <target> <eachword>", lambda way, of, words: _in_order(of, words, way))
    # "paint the cube and the ball red and blue respectively"
    be = "[(to|to be|be|become|into|in)]"
    rule("step", f"MAKE <def1> [,] and <def1> {be} <anyword> [,] and <anyword> [,] respectively", _respectively)
    # "paint the left one red, the middle one green and the right one blue"
    rule("pair", f"<target> {be} <setword>", set_words)
    rule("pairs", "<pair> (,|and|, and) <pair>", together)
    rule("pairs", "<pair> (,|and|, and) <pairs>", together)
    rule("pairs", "<pair> [,] (but|while|whereas) <pair>", together)
    rule("step", "MAKE <pairs>", None, 0.1)
    rule("step", "MAKE <pair> <then> <pair>", lambda first, _, rest: first + rest, 0.1)


def _in_order(of: Selector, words: Words, way: Direction) -> tuple[Step, ...] | None:
    """The words to as many objects, in their order along a direction."""
    if len({word.field for word in words}) > 1 or (isinstance(of, The) and of.count != len(words)):
        return None
    them = of if isinstance(of, The) else The(of=of, count=len(words))
    ranked = (The(of=Extreme(of=them, by=Along(direction=way), rank=rank)) for rank in range(1, len(words) + 1))
    steps = (Set(of=one, field=word.field, to=word) for one, word in zip(ranked, words, strict=True))
    return (Together(steps=tuple(steps)),)


def _respectively(first: Selector, second: Selector, *words: Any) -> tuple[Step, ...] | None:
    one, other = words
    return together(set_words(first, (one,)), set_words(second, (other,)))
