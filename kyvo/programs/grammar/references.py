"""What pronouns stand for: a statement's object, an earlier phrase of the same text, or the dialogue's last turns."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

from kyvo.programs.errors import NotUnderstood
from kyvo.programs.grammar.amendments import Amended, taken_back, topic_of, without_undos
from kyvo.programs.grammar.dialogue import EVER
from kyvo.programs.grammar.emptiness import says_nothing
from kyvo.programs.grammar.lexicon import KINDS
from kyvo.programs.grammar.meaning import (
    ALL,
    ONE,
    Indefinite,
    Pointed,
    as_set,
    is_other,
    is_vague,
    narrow,
    ordered,
    parts,
    without_other,
)
from kyvo.programs.grammar.sentences import About, Again, Brief, Further, Likewise, Variation
from kyvo.programs.parsing import Turn, carried_out
from kyvo.programs.program import (
    Add,
    Before,
    Count,
    Earlier,
    Edit,
    Either,
    Every,
    Except,
    Literally,
    Move,
    Numbered,
    Program,
    Query,
    Related,
    Remove,
    SameWord,
    Selector,
    Set,
    Step,
    The,
    Together,
    Truth,
    Undo,
    Where,
    WhereSame,
    WordOf,
)
from kyvo.programs.program.edits import leaves
from kyvo.programs.structure import rewritten
from kyvo.programs.together import descriptions
from kyvo.programs.turns import REDO, UNDO

IT = Earlier()
Words = frozenset[tuple[str, str]]  # fields with their words


def bound(
    readings: Iterable[tuple[Any, float]], dialogue: Sequence[Turn], *, asked: bool = False, of_them: bool = False
) -> list[tuple[Program, float]]:
    """The readings with their pronouns bound. A reading whose pronoun has nothing to stand for is dropped.

    Args:
        asked: the text ends with a question mark.
        of_them: the text has a "them" or the like.
    """
    found, is_any_vague, is_any_lost, is_any_brief, contradiction = [], False, False, False, None
    unclear = math.inf  # the cost of the cheapest reading whose "it" may be one or several
    topic = _last_topic(dialogue)
    last = dialogue[-1] if dialogue else None
    all_turns, dialogue = dialogue, carried_out(dialogue)
    for given, cost in readings:
        if isinstance(given, Likewise | Variation | Amended) and last is not None and _was_not_understood(last):
            is_any_lost = True
            continue
        meaning = _in_context(given, all_turns)
        if isinstance(meaning, Brief):
            is_any_brief = is_any_brief or asked
            meaning = None if asked else meaning.program
        if meaning is None:
            continue
        named = meaning.named if isinstance(meaning, About) else None
        program = meaning.program if isinstance(meaning, About) else meaning
        if isinstance(program, Edit) and any(map(_is_untouched, parts(tuple(leaves(program.steps))[1:]))):
            continue  # "paint the red ball blue and the remaining balls green": without the red one
        if any(isinstance(node, Either) and any(map(_is_untouched, parts(node))) for node in parts(program)):
            continue  # likewise "the red ball and the remaining balls"
        if isinstance(program, Edit):
            program = rewritten(program, _one_of_some)
        program = rewritten(program, _plain)
        program = rewritten(program, lambda node: _all_turns(node, dialogue))
        if any(isinstance(node, Earlier) and node.turn == EVER for node in parts(program)):
            continue  # no turn has done so
        if dialogue and dialogue[-1].removed and not dialogue[-1].mentioned:
            program = rewritten(program, without_other)  # what was removed is no other's other any more
        program = _bind(_unpointed(program, named or topic), named, dialogue)
        if program is not None and of_them and last is not None and last.refused and not _names_objects(program):
            is_any_lost = True  # of all objects it is only where no text was before
            continue
        if isinstance(program, Query) and program.asks == Count(of=IT) and isinstance(dialogue[-1].program, Edit):
            continue  # "how many now?": of what was changed, or of all of its kind
        if program is not None and any(isinstance(node, Indefinite) for node in parts(program)):
            continue  # what a pronoun stands for was read as one of a set; another reading has the set
        if isinstance(program, Edit) and any(map(is_vague, leaves(program.steps))):
            is_any_vague = True
            continue
        if isinstance(program, Edit) and _has_unclear_it(program):
            unclear = min(unclear, cost)
            continue
        if program is not None and (two := next(filter(None, map(_contradiction, parts(program))), None)):
            contradiction = two
            continue
        if program is not None and not says_nothing(program):
            found += [(one, cost + more) for one, more in _kinds_of_ones(program, named or topic)]
    if is_any_brief and not found:
        raise NotUnderstood(
            'with a question mark this is no order, and a question needs a verb; say "is the cube red?" or "make the '
            'cube red".'
        )
    if is_any_lost and not found:
        raise NotUnderstood(
            "nothing came of the text before, so there is nothing that this one could put right or go on with; say all "
            "of it."
        )
    if unclear < min((cost for _, cost in found), default=math.inf):
        raise NotUnderstood(
            "'it' may be one object or several that were named before; name it, like \"left of the ball\"."
        )
    if contradiction and not found:
        raise NotUnderstood(f"no object is {contradiction[0]} and {contradiction[1]}; name it by one of the two.")
    if is_any_vague and not found:
        raise NotUnderstood(
            'how many of them are meant is not clear; say it, like "the two leftmost cubes", or name a part of the '
            'picture, like "the cubes on the left".'
        )
    return found


def _has_unclear_it(program: Edit) -> bool:
    """ "Paint those left of the ball red and those right of it blue": of the ball, or of those that are red now."""
    steps = leaves(program.steps)
    return any(
        _names_place(then, Earlier)
        and not isinstance(getattr(before, "of", None), The | Earlier)
        and _names_place(before, The)
        for before, then in pairwise(steps)
    )


def _names_place(step: Step, kind: type) -> bool:
    """Whether a step's objects are told by where they are beside one of this kind."""
    of = getattr(step, "of", None)
    return any(isinstance(node, Related) and isinstance(node.to, kind) for node in parts(of))


def _names_objects(program: Program) -> bool:
    """Whether a program says which objects it is about, or means those of an earlier turn."""
    nodes = list(parts(program))
    return IT in nodes or any(isinstance(node, Where) and node.field in KINDS for node in nodes)


def _was_not_understood(turn: Turn) -> bool:
    return turn.refused and isinstance(turn.program, Edit) and not turn.program.steps


def _in_context(meaning: Any, dialogue: Sequence[Turn]) -> Any:
    """ "And the ball" as the last turn's program about the ball; None where no turn was before."""
    if isinstance(meaning, Again):
        edits = (turn.program for turn in reversed(dialogue) if isinstance(turn.program, Edit) and not turn.refused)
        last = next(map(without_undos, edits), None)
        if last in (UNDO, REDO):
            raise NotUnderstood(
                "'again' can mean to take back one more change, or to do again what was taken back; say undo or redo."
            )
        topic = None if last is None else topic_of(last)
        return last if topic is None else rewritten(last, lambda node: IT if node == topic else node)
    if not isinstance(meaning, Likewise | Variation | Amended | Further):
        return meaning
    if not dialogue:
        return None
    if isinstance(meaning, Further):
        last = dialogue[-1]
        is_next = isinstance(last.program, Edit) and not last.refused and (last.added or not meaning.of_new)
        return Edit(steps=meaning.steps) if is_next else None
    program = without_undos(dialogue[-1].program)
    topic = topic_of(program)
    if topic is None:
        return None
    if isinstance(meaning, Amended):
        if meaning.bare and not dialogue[-1].refused:
            return None
        return taken_back(meaning.part, dialogue[-1])
    if isinstance(meaning, Variation):
        if meaning.bare and isinstance(program, Edit):
            return None
        if meaning.bare and isinstance(program, Query) and (so := _also_so(program.asks, meaning.words)):
            return Query(asks=so)
        named = _varied(topic, meaning.words)
        return None if named is None else rewritten(program, lambda node: named if node == topic else node)
    named = meaning.named if isinstance(topic, The | Numbered) else as_set(meaning.named)
    return rewritten(program, lambda node: named if node == topic else node)


def _also_so(asks: Any, word: Selector) -> Truth | None:
    """ "Are the cubes metal?", "and small?": the same objects are asked about."""
    match asks:
        case Every(of=of, among=Where(of=among)) if among == ALL:
            return Every(of=of, among=word)
        case SameWord(first=WordOf(of=of), second=Literally()) if isinstance(word, Where) and word.of == ALL:
            first = WordOf(of=of, field=word.field)
            return SameWord(first=first, second=Literally(field=word.field, value=word.value))
    return None


def _last_topic(dialogue: Sequence[Turn]) -> Selector | None:
    """What the last turn was about; None where it removed all of a kind, so that no other of it is meant now."""
    topic = topic_of(without_undos(dialogue[-1].program)) if dialogue else None
    if isinstance(topic, Numbered):
        return _kind_of_number(topic.index, dialogue[-1])
    if topic is None or not dialogue[-1].removed:
        return topic
    kind = as_set(topic)
    return None if isinstance(kind, Where) and kind.of == ALL else topic


def _kind_of_number(index: int, turn: Turn) -> Where | None:
    """What an object is that was picked by its number: the cube of "which one?", "the metal one"."""
    if turn.before is None or index >= len(turn.before):
        return None
    picked = turn.before.objects[index]
    return next((Where(of=ALL, field=name, value=picked.get(name)) for name in KINDS if picked.get(name)), None)


def _varied(topic: Selector, words: Selector) -> Selector | None:
    """The topic with another word of a field that it has a word of: "how many cubes are metal?", "and rubber?"."""
    if isinstance(topic, The):
        inner = _varied(topic.of, words)
        return None if inner is None else replace(topic, of=inner)
    rest, found = topic, False
    kept = []
    while isinstance(rest, Where):
        same = isinstance(words, Where) and rest.field == words.field
        found, kept = found or same, kept if same else [*kept, replace(rest, of=ALL)]
        rest = rest.of
    return narrow(rest, *kept, words) if found else None


def _brings_back(program: Edit, dialogue: Sequence[Turn]) -> bool:
    """ "Put it back" after a removal: what was removed has no place in the scene from which it could be moved."""
    first = next(leaves(program.steps))
    edits = [turn for turn in dialogue if isinstance(turn.program, Edit)]
    return first == Move(of=IT, place=Before()) and bool(edits) and bool(edits[-1].removed) and not edits[-1].mentioned


def _bind(program: Program, named: Selector | None, dialogue: Sequence[Turn]) -> Program | None:
    """The program with "it" bound: to what the text names, else to what the dialogue's last turn was about.

    In the second and later steps of an edit "it" stays: it means what the step before was about.
    """
    if isinstance(program, Edit):
        if _brings_back(program, dialogue):
            return replace(program, steps=(Undo(), *tuple(leaves(program.steps))[1:]))
        steps = tuple(leaves(program.steps))
        first = _bound_to(steps[0], named or _named_within(steps[0]))
        if IT in parts(first) and not dialogue:
            return None
        rest = [
            rewritten(step, without_other) if isinstance(before, Remove) else step for before, step in pairwise(steps)
        ]
        return replace(program, steps=_grouped(program.steps, iter((first, *rest))))
    program = _bound_to(program, named or _named_within(program))
    if IT in parts(program) and not dialogue:
        program = rewritten(program, without_other)
        return None if IT in parts(program) else program
    return program


def _grouped(steps: Sequence[Step], changed: Iterator[Step]) -> tuple[Step, ...]:
    """Changed steps in the groups of the old ones. Steps that name nothing of their own need no group."""
    found: list[Step] = []
    for step in steps:
        group = tuple(islice(changed, len(step.steps) if isinstance(step, Together) else 1))
        names = any(any(True for _ in descriptions(one)) for one in group[1:])
        found += [Together(steps=group)] if names else group
    return tuple(found)


def _unpointed(program: Program, spoken: Selector | None) -> Program:
    """The program without `Pointed`: "that cube" is "it" where the text, or a step of it, has just spoken of a cube."""
    if not isinstance(program, Edit):
        return rewritten(program, lambda node: _plainly(node, _said_of(spoken)))
    said, steps = _said_of(spoken), []
    for step in leaves(program.steps):
        steps.append(rewritten(step, lambda node, said=said: _plainly(node, said)))
        said = _said_by(steps[-1]) or said
    return replace(program, steps=_grouped(program.steps, iter(steps)))


def _contradiction(node: Any) -> tuple[str, str] | None:
    """ "The gray cylinder that is blue": two words of one field, by which nobody names one object."""
    words = sorted(_said_of(node)) if isinstance(node, The) else []
    return next(((first[1], second[1]) for first, second in pairwise(words) if first[0] == second[0]), None)


def _plainly(node: Any, said: Words) -> Any:
    if not isinstance(node, Pointed):
        return node
    plain = The(of=node.of, count=node.count)
    words = _said_of(plain)
    is_said = words and words <= said and all(isinstance(one, Where) or one == ALL for one in parts(node.of))
    return replace(plain, of=IT) if is_said else plain


def _said_of(selector: Selector | None) -> Words:
    """The words that narrow a description itself, and not what it is compared with."""
    words = set()
    while isinstance(selector, Selector) and selector != ALL:
        words |= {(selector.field, selector.value)} if isinstance(selector, Where) else set()
        selector = getattr(selector, "of", None)
    return frozenset(words)


def _said_by(step: Step) -> Words:
    """The words of what a step was about, as it is afterwards."""
    if isinstance(step, Add):
        return frozenset((word.field, word.value) for word in step.words)
    words = _said_of(topic_of(Edit(steps=(step,))))
    if isinstance(step, Set) and isinstance(step.to, Literally):
        words = frozenset(pair for pair in words if pair[0] != step.field) | {(step.field, step.to.value)}
    return words


def _bound_to(node: Any, named: Selector | None) -> Any:
    return node if named is None else rewritten(node, lambda one: named if one == IT else one)


def _is_untouched(node: Any) -> bool:
    """ "Those that none has moved", or "remaining"."""
    return isinstance(node, Except) and isinstance(node.without, Earlier) and node.without.turn == EVER


def _all_turns(node: Any, dialogue: Sequence[Turn]) -> Any:
    """ "The moved ones" of all turns, and those that none has moved."""
    if _is_untouched(node):
        return node.of  # no turn has moved any
    if not isinstance(node, Earlier) or node.turn != EVER:
        return node
    turns = sum(bool(getattr(turn, node.role)) for turn in dialogue)
    found: Any = node if turns == 0 else replace(node, turn=0)
    for turn in range(1, turns):
        found = Either(first=found, second=replace(node, turn=turn))
    return found


def _kinds_of_ones(program: Program, named: Selector | None) -> list[tuple[Program, float]]:
    """The readings of "the red one": of the kind that was named last before it, or, less likely, of any."""
    if ONE not in parts(program) and not any(_is_one(node) for node in parts(program)):
        return [(program, 0.0)]
    any_kind = rewritten(program, lambda node: node.of if _is_one(node) else node)
    kinds = [node for node in parts(named) if isinstance(node, Where) and node.field in KINDS]
    kind = replace(kinds[0], of=ALL) if kinds else None
    kind = _last_kind_before_one(program) or kind
    if kind is None:
        return [(any_kind, 0.0)]
    return [
        (ordered(rewritten(program, lambda node: narrow(node.of, kind) if _is_one(node) else node)), 0.0),
        (any_kind, 1.0),
    ]


def _is_one(node: Any) -> bool:
    return isinstance(node, Where) and node.field == ONE.field


def _last_kind_before_one(program: Program) -> Where | None:
    last = None
    for node in parts(program):
        if _is_one(node):
            return last
        if isinstance(node, Where) and node.field in KINDS:
            last = replace(node, of=ALL)
        if isinstance(node, Add):  # "put a red cube next to the blue one"
            kinds = [Where(of=ALL, field=word.field, value=word.value) for word in node.words if word.field in KINDS]
            last = kinds[0] if kinds else last
    return last


def _one_of_some(node: Any) -> Any:
    """ "Something red" that is to be changed: which one is asked back."""
    return The(of=node.of) if isinstance(node, Indefinite) and node.alone else node


def _plain(node: Any) -> Any:
    """ "Other things of the same color as the cube" leave the cube out already; "any cube" is a set of cubes."""
    if isinstance(node, Indefinite):
        return node.of
    if isinstance(node, WhereSame) and node.like != IT:
        return _without_others(node)
    return node


def _without_others(node: Any) -> Any:
    """The chain of narrowings below a node without its "other"."""
    if is_other(node):
        return _without_others(node.of)
    below = getattr(node, "of", None)
    if isinstance(below, Selector) and below != ALL and not isinstance(node, The):
        return replace(node, of=_without_others(below))
    return node


def _named_within(program: Any) -> Selector | None:
    """The first object that the text names before its pronoun."""
    for node in parts(program):
        if node == IT:
            return None
        if isinstance(node, The) and IT not in parts(node):
            return node
    return None
