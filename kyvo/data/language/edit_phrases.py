"""Edits in words: the wordings of each kind of edit, from a program to a sentence and back.

The kinds are the five of https://arxiv.org/abs/2506.08002, section 3. What fills a wording is spelled in one way only,
so that a sentence reads as the program it was written from.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from kyvo.data.language.referents import ATTRIBUTES, RELATION_WORDS, noun
from kyvo.errors import SceneError
from kyvo.scene.builtin_schemas import clevr_schema

WORDINGS = {
    "change": (
        "Change the {attribute} of {target} to {word}.",
        "Set the {attribute} of {target} to {word}.",
        "Switch the {attribute} of {target} to {word}.",
        "The {attribute} of {target} should be {word}.",
        "I want the {attribute} of {target} to be {word}.",
        "Give {target} a new {attribute}: {word}.",
        "Update {target}: its {attribute} is now {word}.",
        "Take {target} and change its {attribute} to {word}.",
        "Leave all as it is, but for the {attribute} of {target}, which becomes {word}.",
        "Make {target} {value}.",
        "Please make {target} {value}.",
        "Could you make {target} {value}?",
        "Instead of what it is now, make {target} {value}.",
        "Let {target} be {value}.",
        "Have {target} become {value}.",
        "From now on {target} is {value}.",
        "I would like {target} to be {value}.",
        "Edit {target} so that it is {value}.",
        "{target} should become {value}.",
        "Turn {target} into {one}.",
    ),
    "change_related": (
        "Change the {attribute} of {target} {relation} {anchor} to {word}.",
        "Set the {attribute} of {target} that is {relation} {anchor} to {word}.",
        "Switch the {attribute} of {target} {relation} {anchor} to {word}.",
        "I want the {attribute} of {target} {relation} {anchor} to be {word}.",
        "Find {target} {relation} {anchor} and change its {attribute} to {word}.",
        "Find {target} that stands {relation} {anchor} and give it a new {attribute}: {word}.",
        "Look {relation} {anchor}: the {attribute} of {target} there should be {word}.",
        "{target} that is {relation} {anchor} needs another {attribute}; set it to {word}.",
        "Update {target} {relation} {anchor}: its {attribute} is now {word}.",
        "Make {target} {relation} {anchor} {value}.",
        "Please make {target} that is {relation} {anchor} {value}.",
        "Could you make {target} {relation} {anchor} {value}?",
        "Let {target} that stands {relation} {anchor} be {value}.",
        "From now on {target} {relation} {anchor} is {value}.",
        "I would like {target} {relation} {anchor} to be {value}.",
        "Edit {target} {relation} {anchor} so that it is {value}.",
        "{target} {relation} {anchor} should become {value}.",
        "Turn {target} that is {relation} {anchor} into {one}.",
    ),
    "add": (
        "Add {object} {distance} {relation} {anchor}.",
        "Put {object} {distance} {relation} {anchor}.",
        "Place {object} {distance} {relation} {anchor}.",
        "Insert {object} {distance} {relation} {anchor}.",
        "Set down {object} {distance} {relation} {anchor}.",
        "Please add {object} to the scene, {distance} {relation} {anchor}.",
        "Could you put {object} {distance} {relation} {anchor}?",
        "I want {object} {distance} {relation} {anchor}.",
        "I would like to see {object} {distance} {relation} {anchor}.",
        "There should be {object} {distance} {relation} {anchor}.",
        "Let {object} stand {distance} {relation} {anchor}.",
        "Bring in {object} and stand it {distance} {relation} {anchor}.",
        "Create {object} and place it {distance} {relation} {anchor}.",
        "The scene lacks {object}; put it {distance} {relation} {anchor}.",
        "Find {anchor} and place {object} {distance} {relation} it.",
        "Take {anchor} as the mark: {distance} {relation} it goes {object}.",
        "At {distance} {relation} {anchor}, add {object}.",
        "{distance} {relation} {anchor}, set {object}.",
    ),
    "remove": (
        "Remove {target} {relation} {anchor}.",
        "Remove {target} that is {relation} {anchor}.",
        "Delete {target} {relation} {anchor}.",
        "Delete {target} that stands {relation} {anchor}.",
        "Erase {target} {relation} {anchor}.",
        "Take away {target} {relation} {anchor}.",
        "Take {target} {relation} {anchor} out of the scene.",
        "Clear away {target} that is {relation} {anchor}.",
        "Get rid of {target} {relation} {anchor}.",
        "Please remove {target} {relation} {anchor}.",
        "Could you take away {target} {relation} {anchor}?",
        "I want {target} {relation} {anchor} gone.",
        "I do not want {target} {relation} {anchor} any more.",
        "Let {target} that stands {relation} {anchor} disappear.",
        "Find {target} {relation} {anchor} and remove it.",
        "Look {relation} {anchor} and delete {target} there.",
        "{target} {relation} {anchor} should go.",
        "Show the scene without {target} {relation} {anchor}.",
    ),
    "move": (
        "Move {target} {distance} {way}.",
        "Shift {target} {distance} {way}.",
        "Push {target} {distance} {way}.",
        "Slide {target} by {distance} {way}.",
        "Please move {target} {way} by {distance}.",
        "Could you shift {target} {distance} {way}?",
        "I want {target} to be {distance} further {way}.",
        "{target} should stand {distance} further {way}.",
        "From where it is, take {target} {distance} {way}.",
        "Let {target} go {distance} {way}.",
        "Move {target} so that it stands {distance} {relation} {anchor}.",
        "Shift {target} until it is {distance} {relation} {anchor}.",
        "Put {target} {distance} {relation} {anchor}.",
        "Place {target} {distance} {relation} {anchor}.",
        "Please move {target} to a place {distance} {relation} {anchor}.",
        "Could you bring {target} to {distance} {relation} {anchor}?",
        "I want {target} to be {distance} {relation} {anchor}.",
        "{target} should stand {distance} {relation} {anchor}.",
        "Pick up {target} and set it down {distance} {relation} {anchor}.",
        "Find {anchor} and move {target} to {distance} {relation} it.",
    ),
}
KINDS = tuple(WORDINGS)
_ENDS = ".?!"
WAYS = {"left": "to the left", "right": "to the right", "front": "to the front", "behind": "to the back"}
WORDS = {field.name: field.words for field in clevr_schema().fields if field.words}


def kind_of(program: Mapping[str, Any]) -> str:
    """Which of the five kinds of edit a program is."""
    operation = program["operation"]
    return "change_related" if operation == "change" and "relation" in program["target"] else operation


def phrase(program: Mapping[str, Any], rng: np.random.Generator) -> str:
    """The program as a sentence, in one of the wordings of its kind.

    Raises SceneError for a program that no wording says, as one with more relations than its kind has.
    """
    wordings = wordings_of(program)
    if not wordings:
        raise SceneError(f"no wording says {dict(program)}; give each description at most the relation of its kind.")
    return write(program, wordings[rng.integers(len(wordings))])


def wordings_of(program: Mapping[str, Any]) -> list[str]:
    """The wordings of its kind that say all of the program."""
    kind, slots = kind_of(program), _fill(program)
    said = [wording for wording in WORDINGS[kind] if set(_slots(wording)) <= set(slots)]
    # What one of them says, all do: they differ in the change's spelling alone.
    return said if said and _read(kind, {name: slots[name] for name in _slots(said[0])}) == program else []


def write(program: Mapping[str, Any], wording: str) -> str:
    """The program in this wording."""
    sentence = wording.format(**_fill(program))
    return sentence[0].upper() + sentence[1:]


def parse(instruction: str) -> dict[str, Any]:
    """The program of a sentence in one of the wordings, in any case. Raises SceneError for any other sentence."""
    text = " ".join(instruction.lower().split()).rstrip(_ENDS)
    for kind, pattern in _patterns():
        match = pattern.fullmatch(text)
        if match:
            return _read(kind, match.groupdict())
    raise SceneError(
        f"{instruction!r} is in none of the wordings that can be read; "
        f"write it like {WORDINGS['remove'][0]!r} (all of them: kyvo/data/language/edit_phrases.py)."
    )


def _fill(program: Mapping[str, Any]) -> dict[str, str]:
    """What each slot says, for the slots that this program has."""
    slots = {}
    target = program.get("target", {})
    anchor = program.get("of") or target.get("of")
    relation = program.get("direction") or target.get("relation")
    if "target" in program:
        slots["target"] = f"the {noun(target)}"
    if anchor and relation:
        slots |= {"anchor": f"the {noun(anchor)}", "relation": RELATION_WORDS[relation]}
    elif "direction" in program:
        slots["way"] = WAYS[program["direction"]]
    if "distance" in program:
        slots["distance"] = f"{program['distance']:g} unit" + ("" if program["distance"] == 1 else "s")
    if "object" in program:
        slots["object"] = f"a {noun(program['object'])}"
    if "attribute" in program:
        word, is_shape = program["value"], program["attribute"] == "shape"
        slots |= {
            "attribute": program["attribute"],
            "word": word,
            "value": f"a {word}" if is_shape else word,
            "one": f"a {word}" if is_shape else f"a {word} one",
        }
    return slots


def _read(kind: str, slots: Mapping[str, str]) -> dict[str, Any]:
    """Inverse of `_fill`."""
    program: dict[str, Any] = {"operation": "change" if kind == "change_related" else kind}
    if "target" in slots:
        program["target"] = _attributes(slots["target"])
    if "object" in slots:
        program["object"] = _attributes(slots["object"])
    if "word" in slots or "value" in slots or "one" in slots:
        ((name, value),) = _attributes(slots.get("word") or slots.get("value") or slots["one"]).items()
        program |= {"attribute": name, "value": value}
    place = {}
    if "anchor" in slots:
        place = {"relation": _key(RELATION_WORDS, slots["relation"]), "of": _attributes(slots["anchor"])}
    if "distance" in slots:
        way = place.pop("relation", None) or _key(WAYS, slots["way"])
        program |= {"direction": way, "distance": float(slots["distance"].split()[0]), **place}
    else:
        program["target"] |= place
    return program


def _attributes(words: str) -> dict[str, str]:
    return {name: word for name in ATTRIBUTES for word in words.split() if word in WORDS[name]}


def _key(names: Mapping[str, str], words: str) -> str:
    return next(name for name, value in names.items() if value == words)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """A pattern for every wording; of wordings that name an attribute, one for each, so that its words are its own."""
    patterns = []
    for kind, wordings in WORDINGS.items():
        for wording in wordings:
            parts = re.split(r"\{(\w+)\}", wording.lower().rstrip(_ENDS))
            for attribute in ATTRIBUTES if "{attribute}" in wording else ATTRIBUTES[:1]:
                slots = _slot_patterns(attribute)
                pattern = "".join(
                    f"(?P<{part}>{slots[part]})" if index % 2 else re.escape(part) for index, part in enumerate(parts)
                )
                patterns.append((kind, re.compile(pattern)))
    return patterns


def _slot_patterns(attribute: str) -> dict[str, str]:
    """What may stand in each slot of a wording that names `attribute`."""
    words = {name: "|".join(WORDS[name]) for name in ATTRIBUTES}
    adjectives = "|".join(words[name] for name in ATTRIBUTES[:-1])
    some = "".join(f"(?:(?:{words[name]}) )?" for name in ATTRIBUTES[:-1]) + f"(?:{words['shape']}|object)"
    every = " ".join(f"(?:{words[name]})" for name in ATTRIBUTES)
    return {
        "target": f"the {some}",
        "anchor": f"the {some}",
        "object": f"a {every}",
        "attribute": attribute,
        "word": words[attribute],
        "value": f"{adjectives}|a (?:{words['shape']})",
        "one": f"a (?:{adjectives}) one|a (?:{words['shape']})",
        "distance": r"1 unit|\d+(?:\.\d+)? units",
        "relation": "|".join(RELATION_WORDS.values()),
        "way": "|".join(WAYS.values()),
    }


def _slots(wording: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", wording)
