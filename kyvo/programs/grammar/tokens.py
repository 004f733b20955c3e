"""Tokens of a text: lower case, American spelling, contractions and possessives written out, numbers on their own."""

import re
import unicodedata
from collections.abc import Iterator

from kyvo.programs.grammar.gerunds import as_verbs

END = "."  # the token between sentences
COMMA = ","

_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\u00b4": "'", "\u201c": '"', "\u201d": '"'})
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:'[^\W\d_]+)*|[.;:!?]+|,|-|\S")
_CONTRACTIONS = (
    (re.compile(r"\b(can)'?t\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\b(is|are|do|does|did|was|were|has|have|would|could|should|had)n'?t\b"), r"\1 not"),
    (re.compile(r"\b(what|that|there|it|which|how|who|where|here|one|he|let)'s\b"), r"\1 is"),
    (re.compile(r"\b(i|you|we|they|it|that|there|what|which)'(?:d|ll)\b"), r"\1 would"),
    (re.compile(r"\b(you|we|they|there|what)'re\b"), r"\1 are"),
    (re.compile(r"\b(i|you|we|they)'ve\b"), r"\1 have"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"\blet is\b"), "let us"),
    (re.compile(r"\b(what|where|which)s\b"), r"\1 is"),
    (re.compile(r"\s*[-=]+>\s*|\s*→\s*"), " to "),
    (re.compile(r"\b3d\b"), "solid"),
    (re.compile(r"(\d)\s*(?:\u00b0)"), r"\1 degrees"),
)
_CHAT = {  # short forms of chats
    "u": "you", "ur": "your", "r": "are", "pls": "please", "plz": "please", "thx": "thanks", "ty": "thank you",
    "em": "them", "wanna": "want to", "gotta": "have to", "lemme": "let me", "gimme": "give me", "btw": "by the way",
    "hmm": "hm", "okey": "ok",
}  # fmt: skip
_CHATTED = re.compile(rf"\b({'|'.join(_CHAT)})\b")
_LISTED = re.compile(
    r"(?:^|\n)\s*(?:\d{1,2}[.)]|[-*\u2022])\s+(?=[^\W\d])|\n|\s\d{1,2}\)\s+(?=[^\W\d])|\bstep\s+\d{1,2}\s*[:.)-]"
)  # "1. ", "- "
_FILLERS = frozenset(("uh", "uhh", "uhm", "um", "umm", "er", "erm"))  # sounds of who thinks
_LITTLE = "the a an of to is are in on and at with that it you me make put all . ,"
_TWICE = frozenset(_LITTLE.split())  # read once where they are written twice
_SPELLED = {"&": "and", "+": "plus", "\u2013": COMMA, "\u2014": COMMA, "\u00d7": "times"}
_NO_WORDS = set("'\"()[]{}<>*_|~/\\#@%^$")
AMERICAN = {
    "colour": "color",
    "colours": "colors",
    "coloured": "colored",
    "grey": "gray",
    "greys": "grays",
    "centre": "center",
    "centres": "centers",
    "centred": "centered",
    "centrally": "center",
    "metre": "meter",
    "metres": "meters",
    "duplicate": "duplicate",
    "recolour": "recolor",
    "neighbouring": "neighboring",
    "neighbour": "neighbor",
    "neighbours": "neighbors",
    "favourite": "favorite",
    "mould": "mold",
    "towards": "toward",
    "forwards": "forward",
    "backwards": "backward",
    "upwards": "upward",
    "downwards": "downward",
    "leftwards": "leftward",
    "rightwards": "rightward",
    "sideways": "sideways",
    "amongst": "among",
    "whilst": "while",
}


def clean(text: str) -> str:
    """The text in lower case, with one form of quotes, without control characters, contractions written out."""
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES).lower()
    text = _LISTED.sub(f"{END} ", text)
    text = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    for pattern, spelled in _CONTRACTIONS:
        text = pattern.sub(spelled, text)
    return _CHATTED.sub(lambda match: _CHAT[match[0]], text)


def tokenize(text: str) -> list[str]:
    """The tokens of a text. Sentences end with `END`, which the last one lacks."""
    tokens = []
    for token in _split(clean(text)):
        if not (tokens and token == tokens[-1] and token in _TWICE):  # "the the cube"; not "make the metal one metal"
            tokens.append(token)
    tokens = as_verbs(tokens)
    while tokens and tokens[-1] in (END, COMMA):
        tokens.pop()
    while tokens and tokens[0] in (END, COMMA):
        tokens.pop(0)
    return tokens


def _split(text: str) -> Iterator[str]:
    previous = ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] in ".;:!?":
            token = END
        elif token == "-":
            # a minus sign stands before a number, and not after a word
            follows = text[match.end() : match.end() + 1].isdecimal() and text[match.start() - 1 : match.start()] in (
                "",
                " ",
            )
            token = "minus" if follows else ""
        elif token in _SPELLED:
            token = _SPELLED[token]
        elif token in _NO_WORDS or token in _FILLERS:
            token = ""
        if token.endswith("'s") and len(token) > 2:
            yield from (AMERICAN.get(token[:-2], token[:-2]), "'s")
        elif token and not (token in (END, COMMA) and previous in (END, COMMA)):
            yield AMERICAN.get(token.replace("'", ""), token.replace("'", ""))
        previous = token or previous
