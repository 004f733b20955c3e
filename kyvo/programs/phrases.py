"""Selectors as noun phrases of plain English: "the large sphere", "red cubes left of the large sphere"."""

from dataclasses import replace

from kyvo.programs import program as p
from kyvo.programs.english import ARE, RANKS, RELATIONS, WAYS, Noun, joined, number_word, region_words, with_word
from kyvo.programs.program import Measure, Selector
from kyvo.programs.program.selectors import shared_fields

SUPERLATIVES = {
    "left": "leftmost", "right": "rightmost", "front": "frontmost",
    "behind": "rearmost", "above": "highest", "below": "lowest",
    "front left": "frontmost left", "front right": "frontmost right",
    "back left": "rearmost left", "back right": "rearmost right",
}  # fmt: skip
JUST = {"changed": "just changed", "mentioned": "just mentioned", "added": "just added", "removed": "just removed"}


def noun_of(selector: Selector) -> Noun:
    match selector:
        case p.Everything():
            return Noun()
        case p.Where(of=of, field=field, value=value):
            return with_word(noun_of(of), field, value)
        case p.WhereSame(of=of, field=field, like=like, some=True):
            return noun_of(of).that(f"with the same {field} as any of the {_bare(like)}")
        case p.WhereSame(of=of, field=field, like=like):
            return noun_of(of).that(f"with the same {field} as {objects_of(like)}")
        case p.Shared():
            of, fields = shared_fields(selector)
            return replace(noun_of(of).that(f"that share their {joined(fields)} with another"), closed=True)
        case p.Both(first=first, second=second):
            return replace(noun_of(first).that(f"that {ARE} also {objects_of(second)}"), closed=True)
        case p.Either(first=first, second=second):
            joint = "and" if is_definite(first) and is_definite(second) else "or"
            return Noun(whole=f"{objects_of(first)} {joint} {objects_of(second)}", closed=True)
        case p.Except(of=of, without=without):
            return replace(noun_of(of).that(f"other than {objects_of(without)}"), closed=True)
        case p.Related(of=of, relation=relation, to=to, some=True):
            return noun_of(of).that(f"{RELATIONS[relation]} any of the {_bare(to)}")
        case p.Related(of=of, relation=relation, to=to):
            return noun_of(of).that(f"{RELATIONS[relation]} {each_of(to)}")
        case p.Between(of=of, first=first, second=second):
            return noun_of(of).that(f"between {objects_of(first)} and {objects_of(second)}")
        case p.MoreThan(of=of, by=by, than=than):
            return noun_of(of).that(f"{comparative(by)} {objects_of(than)}")
        case p.InRegion(of=of, region=region):
            return noun_of(of).that(region_words(region))
        case p.Hidden(of=of):
            return noun_of(of).that("partly hidden")
        case p.Extreme(of=of, by=by, rank=rank):
            return _superlative(noun_of(of), by, rank)
        case p.The(of=of, count=count):
            return Noun(whole=_the(of, count), closed=True)
        case p.Earlier(role=role, turn=turn):
            return Noun(behind=(_earlier(role, turn),))
        case p.Numbered(index=index):
            return Noun(whole=f"object number {index + 1}", closed=True)
        case _:
            raise AssertionError(selector)


def _bare(of: Selector) -> str:
    """A set without its article."""
    return objects_of(of).removeprefix("the ").removeprefix("all ")


def _superlative(noun: Noun, by: Measure, rank: int) -> Noun:
    order = RANKS[rank] if rank < len(RANKS) else f"{rank}th "
    match by:
        case p.Closeness(to=to):
            return replace(noun.that(f"{order}nearest to {objects_of(to)}"), closed=True)
        case p.Farness(to=to):
            return replace(noun.that(f"{order}farthest from {objects_of(to)}"), closed=True)
        case _:
            word = order + _measure(by)
    if noun.closed or noun.before:
        return Noun(whole=f"{word} of {noun.say(plural=True)}", closed=True)
    return replace(noun, before=word, closed=True)


def _measure(by: Measure) -> str:
    match by:
        case p.Along(direction=direction):
            return SUPERLATIVES[direction]
        case p.Closeness(to=to):
            return f"nearest to {objects_of(to)}"
        case p.Farness(to=to):
            return f"farthest from {objects_of(to)}"
        case p.Centrality():
            return "most central"
        case p.Bigness():
            return "largest"
        case _:
            return "smallest"


def _the(of: Selector, count: int) -> str:
    noun = noun_of(of)
    said = noun.say(plural=count != 1)
    return said if isinstance(of, p.Numbered) else _definite(said, "" if count == 1 else f"{number_word(count)} ")


def _definite(said: str, count: str = "") -> str:
    """With "the", once."""
    return said if said.startswith("the ") else f"the {count}{said}"


def _earlier(role: str, turn: int) -> str:
    if turn == -1:
        return JUST[role]
    if turn >= 0:
        return f"{role} {'first' if turn == 0 else f'in turn {turn + 1}'}"
    return f"{role} {number_word(-turn)} turns ago"


def objects_of(selector: Selector) -> str:
    """A selector in English: "the large sphere" for one that is meant, "red cubes left of it" for a set."""
    if isinstance(selector, p.Earlier):
        return f"the objects {_earlier(selector.role, selector.turn)}"
    if isinstance(selector, p.Extreme):
        return _definite(noun_of(selector).say(plural=is_of_size(selector)))
    return noun_of(selector).say(plural=True)


def is_of_size(selector: Selector) -> bool:
    """Whether it is all that are of one size, and not the one that is farthest to a side."""
    return isinstance(selector, p.Extreme) and isinstance(selector.by, p.Bigness | p.Smallness)


def each_of(selector: Selector) -> str:
    said = objects_of(selector)
    return said if is_definite(selector) or said.startswith(("the ", "object number")) else f"all {said}"


def is_definite(selector: Selector) -> bool:
    return isinstance(selector, p.The | p.Numbered | p.Earlier | p.Extreme | p.Either | p.Both)


def all_of(selector: Selector) -> str:
    """The objects of an instruction: "the cube", "all cubes"."""
    if isinstance(selector, p.Either):
        return f"{all_of(selector.first)} and {all_of(selector.second)}"
    return "everything" if selector == p.Everything() else each_of(selector)


def comparative(by: Measure) -> str:
    match by:
        case p.Bigness():
            return "larger than"
        case p.Smallness():
            return "smaller than"
        case p.Along(direction="above"):
            return "higher than"
        case p.Along(direction="below"):
            return "lower than"
        case p.Along(direction=direction):
            return f"farther {WAYS[direction]} than"
        case p.Closeness(to=to):
            return f"nearer to {objects_of(to)} than"
        case p.Farness(to=to):
            return f"farther from {objects_of(to)} than"
        case _:
            return "more central than"
