"""English of programs and scenes: words of relations and ways, noun phrases, plurals, numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

NOUNS = ("category", "shape", "kind", "type", "class")  # fields whose word names the object
ADJECTIVES = ("size", "color", "material")  # in the order of English; words of other fields follow "whose"
RELATIONS = {
    "left": "left of", "right": "right of", "front": "in front of", "behind": "behind",
    "above": "above", "below": "below", "near": "near", "touching": "touching",
    "front left": "to the front left of", "front right": "to the front right of",
    "back left": "to the back left of", "back right": "to the back right of",
}  # fmt: skip
WAYS = {
    "left": "to the left", "right": "to the right", "front": "to the front",
    "behind": "to the back", "above": "up", "below": "down",
    "front left": "to the front left", "front right": "to the front right",
    "back left": "to the back left", "back right": "to the back right",
}  # fmt: skip
ARE = "\0"  # the verb of a relative clause, until its number is known
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
RANKS = ("", "", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "ninth ", "tenth ")


@dataclass(frozen=True, kw_only=True)
class Noun:
    """A noun phrase in parts. A `closed` one takes further conditions behind it: "the leftmost cube that is red"."""

    noun: str = "object"
    adjectives: tuple[tuple[str, str], ...] = ()  # field and word
    before: str = ""  # a superlative
    behind: tuple[str, ...] = ()
    closed: bool = False
    whole: str = ""  # a phrase that is said as it is: "cubes or spheres"

    def say(self, plural: bool) -> str:
        ordered = sorted(self.adjectives, key=lambda pair: ADJECTIVES.index(pair[0]))
        noun = plural_of(self.noun) if plural else self.noun
        parts = [self.before, *(word for _, word in ordered), noun]
        said = " ".join([part for part in ([self.whole] if self.whole else parts) if part] + list(self.behind))
        return said.replace(ARE, "are" if plural else "is")

    def that(self, clause: str) -> "Noun":
        return replace(self, behind=(*self.behind, clause))


def with_word(noun: Noun, field: str, value: str) -> Noun:
    """The phrase with one more word of a field: as its noun, as an adjective, or behind it."""
    taken = noun.noun != "object" if field in NOUNS else field in dict(noun.adjectives)
    if noun.closed or taken:
        return noun.that(f"that {ARE} {value}" if field in (*NOUNS, *ADJECTIVES) else f"whose {field} is {value}")
    if field in NOUNS:
        return replace(noun, noun=value)
    if field in ADJECTIVES:
        return replace(noun, adjectives=(*noun.adjectives, (field, value)))
    return noun.that(f"whose {field} is {value}")


def units(distance: float | None) -> str:
    """ "1 unit ", "2.5 units ", or nothing where there is no distance."""
    return "" if distance is None else f"{distance:g} unit{'' if distance == 1 else 's'} "


def region_words(region: str) -> str:
    """ "at the left", "in the middle", "in the front left corner", "in the middle of the back"."""
    first, _, second = region.partition(" ")
    if "middle" in (first, second):
        return f"in the middle of the {first}" if second else "in the middle"
    return f"in the {region} corner" if second else f"at the {region}"


def plural_of(noun: str) -> str:
    """ "cubes", "boxes", "benches", "colors"; a compound changes its last word."""
    irregular = {"person": "people", "shelves": "shelves", "man": "men", "woman": "women", "mouse": "mice"}
    if noun in irregular:
        return irregular[noun]
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def number_word(number: int) -> str:
    """ "two"; digits from eleven on."""
    return NUMBERS[number] if 0 <= number < len(NUMBERS) else str(number)


def counted(number: int, noun: str) -> str:
    """ "1 blue cube", "2 red spheres"."""
    *front, last = noun.split(" ")
    return " ".join([str(number), *front, last if number == 1 else plural_of(last)])


def article(words: str) -> str:
    """ "a" or "an"."""
    return "an" if words[:1] in "aeiou" else "a"


def joined(parts: Sequence[str], word: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    *front, last = parts
    return f"{', '.join(front)} {word} {last}" if front else last
