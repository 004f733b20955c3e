"""Gerunds of instructions as their verbs: the "removing" of "would you mind removing the cube" as "remove"."""

from collections.abc import Sequence

VERBS = [
    "add",
    "alter",
    "arrange",
    "bring",
    "center",
    "change",
    "clear",
    "color",
    "convert",
    "copy",
    "create",
    "delete",
    "drop",
    "duplicate",
    "dye",
    "enlarge",
    "erase",
    "exchange",
    "flip",
    "get",
    "give",
    "have",
    "insert",
    "lift",
    "make",
    "move",
    "nudge",
    "paint",
    "pick",
    "place",
    "pull",
    "push",
    "put",
    "recolor",
    "remove",
    "replace",
    "rotate",
    "set",
    "shift",
    "shrink",
    "slide",
    "spin",
    "stack",
    "swap",
    "touch",
    "switch",
    "take",
    "throw",
    "turn",
]
BEFORE = frozenset(
    [
        "mind",
        "about",
        "suggest",
        "recommend",
        "propose",
        "try",
        "by",
        "consider",
        "start",
        "begin",
        "after",
        "before",
        "without",
    ]
)  # a gerund follows
BETWEEN = frozenset(("and", ",", "then"))


def _gerund(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb[:-1]}ing"
    doubled = verb[-1] not in "wxy" and verb[-2] in "aeiou" and verb[-3:-2] not in tuple("aeiou") and len(verb) <= 4
    return f"{verb}{verb[-1] if doubled else ''}ing"


GERUNDS = {_gerund(verb): verb for verb in VERBS}


def as_verbs(tokens: Sequence[str]) -> list[str]:
    """The tokens with verbs for the gerunds of an instruction."""
    found: list[str] = []
    ready = False  # whether one was read, so that another may follow after "and"
    for before, token in zip(("", *tokens), tokens, strict=False):
        if token in GERUNDS and (before in BEFORE or (ready and before in BETWEEN)):
            token, ready = GERUNDS[token], True
        found.append(token)
    return found
