"""Rules of edits that put in new objects: additions, copies, replacements."""

from typing import Any

from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.goals import move
from kyvo.programs.grammar.lexicon import KINDS
from kyvo.programs.grammar.meaning import ALL, narrow, the, together
from kyvo.programs.grammar.settings import set_field
from kyvo.programs.program import (
    Add,
    At,
    Before,
    Beside,
    Copy,
    Earlier,
    InLine,
    Literally,
    NextTo,
    Offset,
    Place,
    Remove,
    Replace,
    Selector,
    Set,
    Step,
    The,
    Toward,
    Where,
    WordOf,
)
from kyvo.scene.schema import SceneSchema

_SIDES = {"left": "left", "right": "right", "front": "front", "behind": "back"}


def add_additions(rule: Rules, schema: SceneSchema) -> None:
    rule("newthing", "<newwords>")
    rule("newthing", "(thing|object|item|shape)", ())
    rule(
        "step",
        "(add|insert|create|put in|bring in|place) something <newwords1> [<goal>]",
        lambda word, *place: added(((word,), 1), *place),
    )
    rule("newthing", "<newwords> (thing|object|item|shape|one)")
    rule("newthing", "<newwords> (that|which) (is|are) <setword>", _told_more)
    rule("step", "(IWANT|have) <newone> [to be] (added|inserted|put in|created|placed in THEPICTURE)", added)
    rule("step", "<newone> MUST be (added|inserted|put in|created) [<goal>]", added)
    rule("step", "let there be <newone> [<goal>]", added)
    rule("newthings", "<newkinds>")
    rule("newthings", "(things|objects|items|shapes|ones)", ())
    rule("newkinds", "<kinds>", lambda of: (Literally(field=of.field, value=of.value),))
    rule(
        "newthings",
        "<newwords1> <newthings>",
        lambda a, rest: None if a.field in {word.field for word in rest} else (a, *rest),
    )
    rule("newone", "<anew>")
    rule(
        "anew",
        "(a|an|another|one|one more|an additional|a new|an extra|a second|some|a single|one new|"
        "yet another) [(new|more|extra)] <newthing>",
        lambda words: (words, 1),
    )
    rule(
        "newone",
        "<int> [(more|new|extra|additional|other)] <newthings>",
        lambda count, words: (words, count) if count > 1 else None,
    )
    rule("newone", "(a couple of|a pair of) [(more|new)] <newthings>", lambda words: (words, 2))
    rule("newone", "[new] <newwords>", lambda words: (words, 1), 0.7)
    rule(
        "toscene",
        "[(in|there|in there|in here)] [(to|in|into|on) THEPICTURE] [,] [(there|somewhere|anywhere)] "
        "[and (stand|place|put|set) (it|them)]",
        0,
    )
    rule("step", "[(i|we|you)] CREATE <newone> <toscene>", lambda new, _: added(new))
    rule(
        "step",
        "[(i|we|you)] CREATE <newone> <toscene> [,|.] [at|standing|so that it is] <goal>",
        lambda new, _, place: added(new, place),
    )
    rule("newlist", "<newone> [,] (and|as well as|plus|,) <newone>", _added_both)
    rule("newlist", "<newone> (,|and|, and) <newlist>", _added_both)
    rule("step", "[(i|we|you)] CREATE <newlist> <toscene>", lambda steps, _: steps)
    rule(
        "step",
        "CREATE <newone> (of|in|with|having) [(the|a)] [(same|identical)] <field> (as|of|like) <one_target> [<goal>]",
        _added_like,
    )
    first = "(the first|the first one|the existing one|the original|the original one|the other one|the other)"
    near = "(next to|beside|near|by|close to|alongside)"
    rule("step", f"CREATE <newone> {near} {first}", lambda new: added(new, NextTo(to=_like(new))))
    rule(
        "step",
        f"CREATE <newone> <side> {first}",
        lambda new, side: added(new, Beside(direction=side, to=_like(new))),
    )
    rule("step", "[(at|)] <goal> [,] CREATE <newone>", lambda place, new: added(new, place))
    rule("step", "(let|have) <newone> (stand|be|appear|sit|be placed) <goal>", added)
    rule("step", "(there MUST be|it MUST have|i would like to have|add in) <newone> [<goal>]", added)
    rule(
        "step",
        "(bring in|create|make|build|get|take) <newone> [,] and (stand|place|put|set|position|drop|stack) it <goal>",
        added,
    )
    rule("step", "THEPICTURE (lacks|needs|is missing) <newone> [(.|,)] [(put|place|set) it <goal>]", added)
    rule(
        "step",
        "find <one_target> and place <newone> <distside> it",
        lambda to, new, where: added(new, Beside(direction=where[1], to=to, distance=where[0])),
    )
    rule(
        "step",
        "find <one_target> and MOVE <target> to <distside> it",
        lambda to, of, where: move(of, Beside(direction=where[1], to=to, distance=where[0])),
    )
    rule("distside", "<dist> <side>", lambda far, side: (far, side))
    rule("distside", "<side>", lambda side: (None, side))
    rule(
        "step",
        "take <one_target> as the mark [(.|,)] <distside> it goes <newone>",
        lambda to, where, new: added(new, Beside(direction=where[1], to=to, distance=where[0])),
    )
    rule(
        "step",
        "look <side> <one_target> [(.|,)] [and] (delete|remove) <target> there",
        lambda side, to, of: (Remove(of=_beside(of, side, to)),),
    )
    rule(
        "step",
        "look <side> <one_target> [(.|,)] the <field> of <target> there should be <anyword>",
        lambda side, to, field, of, word: set_field(_beside(of, side, to), field, word),
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
        "(make|add|create|put|place) <copycount> (copy|copies|duplicate|duplicates|clone|"
        "clones) of <one_target> [(and|,)] [(put|place|set)] [it] [<goal>]",
        lambda count, of, *place: _copied(of, count, *place),
    )
    rule(
        "step",
        "(make|add|create|put|place) <copycount> [(more|other|new|)] (one|ones|object|objects|thing) (like|"
        "just like|the same as|identical to) <one_target> [<goal>]",
        lambda count, of, *place: _copied(of, count, *place),
    )
    rule(
        "step",
        "(make|add|create|put|place|insert) <copycount> [(more|other|new|)] (<desc1>|<descs>) (like|just like|"
        "similar to|the same as|identical to) <one_target> [<goal>]",
        lambda count, noun, of, *place: _copied(the(narrow(of.of, noun)) if isinstance(of, The) else of, count, *place),
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
        f"((replace|substitute|swap out|switch out|change|trade in) <target> {with_} <newone>|"
        f"(exchange|swap|switch|trade) <target> (for <newone>|{with_} <anew>))",  # "swap red ball with blue cube" swaps
        _replaced,
    )
    rule(
        "step",
        f"(replace|substitute|exchange|swap out|swap|trade|switch) <target> {with_} <newthings>",
        lambda of, words: (Replace(of=of, words=words),) if words else None,
        0.1,
    )
    rule(
        "step",
        f"(replace|substitute|exchange|swap|change) <target> {with_} <newone> (of|with|in) the same <samefields>",
        _replaced_alike,
    )
    rule(
        "step",
        "<target> (MUST be|gets|get) (replaced|substituted|exchanged) (with|by|for) <newone>",
        _replaced,
    )
    rule(
        "step",
        "<one_target> (MUST be|gets|get) (copied|duplicated|cloned) [<goal>]",
        lambda of, *to: _copied(of, 1, *to),
    )
    rule("samefields", "<field>", lambda field: (field,))
    rule("samefields", "<field> [,] [and] <samefields>", lambda field, more: (field, *more))
    rule(
        "step",
        "(substitute|put) <newone> (for|in place of|instead of) <target>",
        lambda new, of: (Replace(of=of, words=new[0]),),
    )
    there = "(there|in (its|their|that) (place|spot|position)|at (its|their|that) (place|spot|position)|instead)"
    rule("step", f"DELETE <target> [,|.] [and] [then] CREATE <newone> {there}", _replaced)
    rule("step", "SAMEPICTURE with <newone> instead of <target>", lambda new, of: _replaced(of, new), 0.2)
    rule(
        "step",
        "instead of <target> [,] (IWANT|CREATE) <newone>",
        _replaced,
    )
    rule(
        "step",
        "(swap|switch|change|trade) <target> out (with|by|for) <newone>",
        _replaced,
    )
    rule(
        "step",
        "put <newone> where <target> (is|was|stands)",
        lambda new, of: (Replace(of=of, words=new[0]),),
    )


def _replaced(of: Selector, new: tuple[tuple[Literally, ...], int]) -> tuple[Step, ...] | None:
    words, count = new
    return (Replace(of=of, words=words),) if count == 1 and words else None


def _replaced_alike(
    of: Selector, new: tuple[tuple[Literally, ...], int], same: tuple[str, ...]
) -> tuple[Step, ...] | None:
    """A new object keeps the words that are not named, so that the fields said to be the same need no step."""
    words, count = new
    if count != 1 or not words or any(word.field in same for word in words):
        return None
    return (Replace(of=of, words=words),)


def _beside(of: Selector, side: Any, to: Selector) -> Selector:
    from kyvo.programs.program import Related

    inner = of.of if isinstance(of, The) else of
    for part in side.split():  # "back right" is behind it and right of it
        inner = narrow(inner, Related(of=ALL, relation="behind" if part == "back" else part, to=to))
    return the(inner)


def _told_more(words: tuple[Literally, ...], more: tuple[Literally, ...]) -> tuple[Literally, ...] | None:
    """ "A cube that is small and red." """
    fields = [word.field for word in (*words, *more)]
    return (*more, *words) if len(set(fields)) == len(fields) else None


def _added_both(first: Any, second: Any) -> tuple[Step, ...] | None:
    """Two new objects, or one and the steps for the rest of a list."""
    if not isinstance(second[0], Step) and second[0] and not any(word.field in KINDS for word in second[0]):
        return None  # "two cubes, one red" are two
    rest = second if isinstance(second[0], Step) else added(second)
    kind = next((word for word in _words_of(rest) if word.field in KINDS), None)
    words, count = first
    if not any(word.field in KINDS for word in words):  # "a large and a small cube"
        if kind is None:
            return None
        words = (*words, kind)
    one = added((words, count))
    return None if one is None or rest is None else one + rest


def _words_of(steps: tuple[Step, ...] | None) -> tuple[Literally, ...]:
    """Of the first new object."""
    return steps[0].words if steps and isinstance(steps[0], Add) else ()


def _added_like(new: Any, field: str, like: Selector, place: Place | None = None) -> tuple[Step, ...] | None:
    """ "Add a cube of the color of the sphere." """
    steps = added(new, place)
    if steps is None or any(word.field == field for word in new[0]):
        return None
    return together(steps, (Set(of=Earlier(role="added"), field=field, to=WordOf(of=like, field=field)),))


def _like(new: tuple[tuple[Literally, ...], int]) -> Selector:
    """The object that is there already, of which the new one is a second."""
    return the(narrow(ALL, *(Where(of=ALL, field=word.field, value=word.value) for word in new[0])))


def added(new: tuple[tuple[Literally, ...], int], place: Place | None = None) -> tuple[Step, ...] | None:
    words, count = new
    if isinstance(place, Offset):  # "to the left": a new object has no place from which to go
        region = _SIDES.get(place.direction)
        place = None if region is None or place.distance is not None else At(region=region)  # type: ignore[arg-type]
        if place is None:
            return None
    if isinstance(place, Before | Toward | InLine):
        return None
    return (Add(words=words, place=place, count=count),) if count >= 1 else None


def _copied(of: Selector, count: int, place: Place | None = None) -> tuple[Step, ...]:
    return (Copy(of=of, place=place, count=count),)
